! A handle whose cells are in a GPU's memory: what it serves, and what it refuses.
program device_test
  use, intrinsic :: iso_c_binding
  use expect, only: check, finish
  use pychemsurrogate
  implicit none
  interface
    integer(c_int) function cudaMalloc(address, bytes) bind(c, name="cudaMalloc")
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), intent(out) :: address
      integer(c_size_t), value :: bytes
    end function
    integer(c_int) function cudaMemcpy(to, from, bytes, kind) bind(c, name="cudaMemcpy")
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: to, from
      integer(c_size_t), value :: bytes
      integer(c_int), value :: kind
    end function
    integer(c_int) function cudaStreamCreate(stream) bind(c, name="cudaStreamCreate")
      import :: c_int, c_ptr
      type(c_ptr), intent(out) :: stream
    end function
  end interface
  integer(c_int64_t), parameter :: cells = 3, one = 1, none = 0, species = 29
  type(chem_solver) :: chemistry, cpu
  real(c_double), target :: n(species, cells) = 0, exact(species, cells), temperature(cells) = 20, zeta(1, cells) = 1e-16_c_double
  real(c_double), target :: k(200, cells)
  integer(c_int8_t), target :: status(cells), mask(cells) = [1_c_int8_t, 0_c_int8_t, 1_c_int8_t]
  type(c_ptr) :: stream, on_n, on_temperature, on_zeta, on_status, on_mask, on_error
  real(c_double), parameter :: dt = 1e11_c_double
  real(c_double), target :: error(cells) = 0
  character(512) :: message
  integer :: stat

  call cpu%open("osu_09_2008")
  call cpu%set_option("mode", "exact")
  call chemistry%open("osu_09_2008")
  call chemistry%set_option("mode", "exact")
  call chemistry%set_option("device", "cuda")
  n(chemistry%species_index("H2"), :) = 500
  n(chemistry%species_index("C+"), :) = 0.1_c_double
  n(chemistry%species_index("O"), :) = 0.2_c_double
  n(chemistry%species_index("e-"), :) = 0.1_c_double
  temperature(3) = 100
  exact = n
  call cpu%step(exact, dt, temperature, zeta, mask=mask)

  ! memory=host, the default: arrays as ever.
  block
    real(c_double) :: staged(species, cells)
    staged = n
    call chemistry%step(staged, dt, temperature, zeta, mask=mask, status=status)
    call check(all(status == [PCS_STATUS_EXACT_REQUESTED, PCS_STATUS_MASKED, PCS_STATUS_EXACT_REQUESTED]), "host: status")
    call check(near(staged), "host: the CPU's answer")
  end block

  call chemistry%set_option("memory", "device")
  if (cudaStreamCreate(stream) /= 0) error stop "cudaStreamCreate"
  call chemistry%set_option("stream", stream)
  call chemistry%step_at(cells, dt, c_loc(n), species, one, c_loc(temperature), c_loc(zeta), stat=stat, errmsg=message)
  call check(stat == PCS_E_DEVICE, "n of the host is refused")
  call check(index(message, "n_cm3") > 0 .and. index(message, "memory of the host") > 0, "by name: " // trim(message))
  on_n = moved(c_loc(n), 8 * size(n, kind=c_size_t))
  on_temperature = moved(c_loc(temperature), 8 * size(temperature, kind=c_size_t))
  on_zeta = moved(c_loc(zeta), 8 * size(zeta, kind=c_size_t))
  on_status = moved(c_loc(status), size(status, kind=c_size_t))
  on_mask = moved(c_loc(mask), size(mask, kind=c_size_t))
  on_error = moved(c_loc(error), 8 * size(error, kind=c_size_t))
  call chemistry%step_at(cells, dt, on_n, species, one, c_loc(temperature), on_zeta, stat=stat, errmsg=message)
  call check(stat == PCS_E_DEVICE .and. index(message, "temperature") > 0, "temperatures of the host: " // trim(message))
  call chemistry%step_at(cells, dt, on_n, species, one, on_temperature, on_zeta, status=c_loc(status), stat=stat, &
                         errmsg=message)
  call check(stat == PCS_E_DEVICE .and. index(message, "status") > 0, "statuses of the host: " // trim(message))
  call chemistry%step(n, dt, temperature, zeta, stat=stat)
  call check(stat == PCS_E_DEVICE, "arrays of the host are refused by step too")
  call check(all(n == reshape([(n(:, 1), stat=1, 3)], shape(n))), "refused calls leave the arrays alone")

  status = 99_c_int8_t
  call chemistry%step_at(cells, dt, on_n, species, one, on_temperature, on_zeta, mask=on_mask, status=on_status, &
                         error_dex=on_error, stat=stat, errmsg=message)
  call check(stat == 0, "device: " // trim(message))
  call check(chemistry%report("exact") == 2 .and. chemistry%report("masked") == 1, "device: report")
  stat = cudaMemcpy(c_loc(n), on_n, 8 * size(n, kind=c_size_t), 2_c_int)
  call check(stat == 0 .and. near(n), "device: the CPU's answer")
  stat = cudaMemcpy(c_loc(status), on_status, size(status, kind=c_size_t), 2_c_int)
  call check(all(status == [PCS_STATUS_EXACT_REQUESTED, PCS_STATUS_MASKED, PCS_STATUS_EXACT_REQUESTED]), "device: status")

  call chemistry%rate_coefficients(n, temperature, zeta, k(:chemistry%n_reactions(), :), stat=stat, errmsg=message)
  call check(stat /= 0 .and. index(message, "device") > 0, "rates are refused: " // trim(message))
  call chemistry%set_option("device", "cuda:77", stat, message)
  call check(stat == PCS_E_DEVICE .and. index(message, "77") > 0, "no such GPU: " // trim(message))
  call chemistry%set_option("stream", "yes", stat, message)
  call check(stat == PCS_E_OPTION, "no stream: " // trim(message))
  call chemistry%step_at(none, dt, c_null_ptr, species, one, c_null_ptr, c_null_ptr, stat=stat, errmsg=message)
  call check(stat == 0, "no cells: " // trim(message))
  call finish()

contains

  ! A copy in the GPU's memory.
  function moved(from, bytes) result(to)
    type(c_ptr), intent(in) :: from
    integer(c_size_t), intent(in) :: bytes
    type(c_ptr) :: to
    if (cudaMalloc(to, bytes) /= 0) error stop "cudaMalloc"
    if (cudaMemcpy(to, from, bytes, 1_c_int) /= 0) error stop "cudaMemcpy"
  end function

  logical function near(found)
    real(c_double), intent(in) :: found(:, :)
    near = all(abs(found - exact) <= 1e-6_c_double * exact + 1e-15_c_double * 1000)
  end function
end program
