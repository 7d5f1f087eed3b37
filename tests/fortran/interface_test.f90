! Every procedure of the module, and every error that it tells. Usage: interface_test MODEL.pcs DAMAGED.pcs
program interface_test
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan, ieee_quiet_nan, ieee_value
  use, intrinsic :: iso_c_binding, only: c_int64_t, c_loc, c_null_ptr
  use, intrinsic :: iso_fortran_env, only: int8, real64
  use expect, only: check, finish
  use pychemsurrogate
  implicit none
  type(chem_solver) :: chemistry, never_opened
  character(512) :: model, damaged, message
  integer :: stat, i
  real(real64) :: value

  call get_command_argument(1, model)
  call get_command_argument(2, damaged)

  call test_open()
  call test_names()
  call test_options()
  call test_step()
  call test_step_at()
  call test_budget()
  call test_equilibrium()
  call test_trajectory()
  call test_derivatives()
  call test_units()
  call test_shapes()
  call test_closed(never_opened)
  call chemistry%close()
  call test_closed(chemistry)
  call chemistry%close()
  call finish()

contains

  subroutine test_open()
    message = "untouched"
    call chemistry%open("no/such/model.pcs", stat, message)
    call check(stat == PCS_E_FILE, "a missing file is PCS_E_FILE")
    call check(index(message, "no/such/model.pcs") > 0, "the message names the missing file: " // trim(message))
    call check(.not. chemistry%is_open(), "a failed open leaves the solver closed")
    call chemistry%open(damaged, stat, message)
    call check(stat == PCS_E_FILE, "a damaged file is PCS_E_FILE")
    call check(len_trim(chemistry%last_error()) > 0, "last_error tells about a failed open")
    message = "untouched"
    call chemistry%open(model, stat, message)
    call check(stat == 0 .and. chemistry%is_open(), "open")
    call check(message == "untouched", "errmsg is untouched on success")
    call chemistry%open(model)
    call check(chemistry%is_open(), "open again closes and opens")
    call check(chem_abi_version() == CHEM_ABI_EXPECTED, "ABI version")
  end subroutine

  subroutine test_names()
    call check(chemistry%n_species() == 29, "n_species")
    call check(chemistry%species_index("CO") > 0, "species_index")
    call check(chemistry%species_index("Xx") == 0, "an unknown species has index 0")
    call check(chemistry%species_name(chemistry%species_index("e-")) == "e-", "species_name")
    call check(chemistry%species_name(0) == "" .and. chemistry%species_name(30) == "", "no name out of range")
    call check(chemistry%n_conditions() == 1 .and. chemistry%condition_index("zeta") == 1, "conditions")
    call check(chemistry%condition_index("A_V") == 0, "an unknown condition has index 0")
    call check(chemistry%condition_name(1) == "zeta" .and. chemistry%condition_name(2) == "", "condition_name")
    call check(chemistry%n_conserved() == 4, "n_conserved")
    call check(chemistry%conserved_name(4) == "charge" .and. chemistry%conserved_name(5) == "", "conserved_name")
    do i = 1, 3
      if (chemistry%conserved_name(i) == "H") exit
    end do
    call check(chemistry%composition(i, chemistry%species_index("H3O+")) == 3, "composition: H in H3O+")
    call check(chemistry%composition(4, chemistry%species_index("e-")) == -1, "composition: charge of e-")
    value = chemistry%composition(5, 1, stat, message)
    call check(stat /= 0 .and. value == 0, "composition out of range is an error")
    call check(chem_status_message(PCS_STATUS_STEP_LIMIT) /= "", "chem_status_message")
  end subroutine

  subroutine test_options()
    call chemistry%set_option("mode", "exact")
    call chemistry%set_option("rtol", 1.0e-2_real64)
    call chemistry%set_option("max_steps", 500, stat)
    call check(stat == 0, "set_option")
    call chemistry%set_option("colour", "blue", stat, message)
    call check(stat == PCS_E_OPTION .and. index(message, "colour") > 0, "unknown option: " // trim(message))
    call chemistry%set_option("rtol", "many", stat, message)
    call check(stat == PCS_E_OPTION, "bad value")
    call chemistry%set_option("max_steps", -3, stat, message)
    call check(stat == PCS_E_OPTION, "bad integer value")
    call chemistry%set_option("max_steps", 2000)
  end subroutine

  ! Three cells of gas; the second is masked.
  subroutine make_cells(n, temperature, conditions)
    real(real64), allocatable, intent(out) :: n(:, :), temperature(:), conditions(:, :)
    integer :: cell
    allocate (n(29, 3), source=0.0_real64)
    do cell = 1, 3
      n(chemistry%species_index("H2"), cell) = 500
      n(chemistry%species_index("C+"), cell) = 0.1_real64
      n(chemistry%species_index("O"), cell) = 0.2_real64
      n(chemistry%species_index("e-"), cell) = 0.1_real64
    end do
    temperature = [20.0_real64, 50.0_real64, 100.0_real64]
    allocate (conditions(1, 3), source=1.0e-16_real64)
  end subroutine

  subroutine test_step()
    real(real64), allocatable :: n(:, :), single(:, :), per_cell(:, :), temperature(:), conditions(:, :)
    integer(int8) :: status(3), mask(3)
    real(real64), parameter :: dt = 1.0e11_real64

    call make_cells(n, temperature, conditions)
    mask = [1_int8, 0_int8, 1_int8]
    call chemistry%step(n, dt, temperature, conditions, mask=mask, status=status)
    call check(all(status == [PCS_STATUS_EXACT_REQUESTED, PCS_STATUS_MASKED, PCS_STATUS_EXACT_REQUESTED]), "status")
    call check(n(chemistry%species_index("CO"), 1) > 0, "CO forms")
    call check(n(chemistry%species_index("CO"), 2) == 0, "a masked cell is left alone")
    call check(chemistry%report("cells") == 3 .and. chemistry%report("masked") == 1, "report")
    value = chemistry%report("weather", stat, message)
    call check(stat == PCS_E_NAME .and. value == 0, "unknown report key")

    call make_cells(single, temperature, conditions)
    call make_cells(per_cell, temperature, conditions)
    call chemistry%step(single, dt, temperature, conditions)
    call chemistry%step(per_cell, [dt, dt, dt], temperature, conditions, stat=stat)
    call check(stat == 0 .and. all(single == per_cell), "one dt and a dt per cell agree bit for bit")
    call check(all(single(:, 1) == n(:, 1)), "a cell's answer does not depend on its neighbours")

    call make_cells(n, temperature, conditions)
    call make_cells(single, temperature, conditions)
    n(1, 1) = -1
    single(1, 1) = -1
    call chemistry%step(n, dt, temperature, conditions, status=status, stat=stat)
    call check(stat == 0 .and. status(1) == PCS_STATUS_BAD_INPUT .and. all(n(:, 1) == single(:, 1)), "a bad cell keeps its input")
    call check(status(3) == PCS_STATUS_EXACT_REQUESTED .and. chemistry%report("failed") == 1, "its neighbours advance")

    call make_cells(n, temperature, conditions)
    call make_cells(single, temperature, conditions)
    call chemistry%step(n, 0.0_real64, temperature, conditions, status=status)
    call check(all(n == single) .and. all(status == PCS_STATUS_UNCHANGED), "dt = 0 changes nothing")
    ! Every other cell of a larger array: the compiler packs and unpacks it.
    call make_cells(n, temperature, conditions)
    call chemistry%step(n(:, 1:3:2), dt, temperature(1:3:2), conditions(:, 1:3:2))
    call check(n(chemistry%species_index("CO"), 2) == 0 .and. n(chemistry%species_index("CO"), 3) > 0, "array sections")
  end subroutine

  ! By addresses: the same bits as by arrays, from a field n(cell, species), with one zeta for all cells.
  subroutine test_step_at()
    real(real64), allocatable, target :: n(:, :), turned(:, :), temperature(:), conditions(:, :), dt(:)
    integer(int8), target :: status(3), mask(3), same(3)

    allocate (dt(3), source=1.0e11_real64)
    call make_cells(n, temperature, conditions)
    turned = transpose(n)
    mask = [1_int8, 0_int8, 1_int8]
    call chemistry%step(n, dt(1), temperature, conditions, mask=mask, status=same)
    call chemistry%step_at(3_c_int64_t, dt(1), c_loc(turned), 1_c_int64_t, 3_c_int64_t, c_loc(temperature), &
                           c_loc(conditions), condition_cell_stride=0_c_int64_t, mask=c_loc(mask), &
                           status=c_loc(status), stat=stat, errmsg=message)
    call check(stat == 0 .and. all(turned == transpose(n)) .and. all(status == same), "step_at: a turned field")

    call make_cells(n, temperature, conditions)
    turned = n
    call chemistry%step(n, dt, temperature, conditions)
    call chemistry%step_at(3_c_int64_t, c_loc(dt), 1_c_int64_t, c_loc(turned), 29_c_int64_t, 1_c_int64_t, &
                           c_loc(temperature), c_loc(conditions), stat=stat)
    call check(stat == 0 .and. all(turned == n), "step_at: a dt per cell, strides of step's arrays")
    call chemistry%step_at(3_c_int64_t, dt(1), c_null_ptr, 29_c_int64_t, 1_c_int64_t, c_loc(temperature), &
                           c_loc(conditions), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT, "step_at: no address of n: " // trim(message))
    call never_opened%step_at(3_c_int64_t, dt(1), c_loc(n), 29_c_int64_t, 1_c_int64_t, c_loc(temperature), &
                              c_loc(conditions), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "open") > 0, "step_at: closed: " // trim(message))
  end subroutine

  ! In mode exact the errors that cells carry only fade; a bad one is told.
  subroutine test_budget()
    real(real64), allocatable :: n(:, :), same(:, :), temperature(:), conditions(:, :)
    real(real64) :: error(3)
    real(real64), allocatable :: costs(:)
    integer(int8) :: status(3)
    real(real64), parameter :: dt = 1.0e11_real64

    call make_cells(n, temperature, conditions)
    call make_cells(same, temperature, conditions)
    error = [0.0_real64, 0.05_real64, -1.0_real64]
    call chemistry%step(n, dt, temperature, conditions, status=status, error_dex=error)
    call chemistry%step(same, dt, temperature, conditions)
    call check(all(n(:, 1:2) == same(:, 1:2)) .and. status(3) == PCS_STATUS_BAD_INPUT, "step with error_dex")
    call check(error(1) == 0 .and. error(2) > 0 .and. error(2) <= 0.05_real64 .and. error(3) == -1, "error_dex")
    call chemistry%step(n, [dt, dt, dt], temperature, conditions, error_dex=error(1:2), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "error_dex") > 0, "the extent of error_dex")
    costs = chemistry%costs(stat, message)
    call check(stat == PCS_E_OPTION .and. size(costs) == 0 .and. index(message, "router") > 0, "costs")
  end subroutine

  subroutine test_equilibrium()
    real(real64), allocatable :: n(:, :), before(:, :), temperature(:), conditions(:, :)
    integer(int8) :: status(3), mask(3)
    integer :: steps(3)

    call make_cells(n, temperature, conditions)
    before = n
    mask = [1_int8, 0_int8, 1_int8]
    call chemistry%set_option("statistics", "on")
    call chemistry%equilibrium(n, temperature, conditions, mask=mask, status=status)
    call check(all(status == [PCS_STATUS_EXACT_REQUESTED, PCS_STATUS_MASKED, PCS_STATUS_EXACT_REQUESTED]), "equilibrium")
    call check(all(n(:, 2) == before(:, 2)) .and. n(chemistry%species_index("CO"), 3) > 0, "equilibrium: abundances")
    call chemistry%cell_statistics("steps", steps)
    call check(steps(1) > 1 .and. steps(2) == 0 .and. sum(steps) == nint(chemistry%report("steps")), "cell_statistics")
    call chemistry%cell_statistics("joules", steps, stat)
    call check(stat == PCS_E_NAME, "unknown count")
    call chemistry%cell_statistics("steps", steps(1:2), stat)
    call check(stat == PCS_E_ARGUMENT, "cell_statistics: number of cells")
    call chemistry%set_option("statistics", "off")

    before = n
    call chemistry%equilibrium(n, temperature, conditions)
    call check(maxval(abs(n(:, 1) - before(:, 1)) / (before(:, 1) + 1.0e-9_real64)) < 1e-3_real64, "equilibrium stays")
    n = before
    call chemistry%equilibrium(n, temperature, conditions, tolerance=1.0e-3_real64, duration=1.0e16_real64)
    call make_cells(n, temperature, conditions)
    before = n
    call chemistry%equilibrium(n, temperature, conditions, duration=1.0e4_real64, tolerance=1.0e-9_real64, status=status)
    call check(all(status == PCS_STATUS_NO_EQUILIBRIUM) .and. all(n == before), "no equilibrium")
    call chemistry%equilibrium(n, temperature, conditions, tolerance=2.0_real64, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "tolerance") > 0, "equilibrium: tolerance")
    call chemistry%equilibrium(n(1:28, :), temperature, conditions, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "equilibrium: n") == 1, "equilibrium: shapes")
  end subroutine

  subroutine test_trajectory()
    real(real64), allocatable :: n(:, :), one(:, :), temperature(:), conditions(:, :), states(:, :, :)
    real(real64), parameter :: times(3) = [0.0_real64, 1.0e10_real64, 1.0e11_real64]
    integer(int8) :: status(3, 3)

    call make_cells(n, temperature, conditions)
    one = n
    allocate (states(size(n, 1), 3, size(n, 2)))
    call chemistry%trajectory(n, times, temperature, conditions, states, status=status)
    call check(all(n == one) .and. all(states(:, 1, :) == n), "trajectory: the given state stays")
    call check(all(status(1, :) == PCS_STATUS_UNCHANGED) .and. nint(chemistry%report("cells")) == 9, "trajectory: status")
    call chemistry%step(one, times(2), temperature, conditions)
    call check(all(states(:, 2, :) == one), "trajectory: the first time is a step")
    call check(states(chemistry%species_index("CO"), 3, 3) > 0, "trajectory: the second time")
    call chemistry%trajectory(n, times(3:1:-1), temperature, conditions, states, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "later") > 0, "trajectory: times")
    call chemistry%trajectory(n, times, temperature, conditions, states(:, 1:2, :), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "species, time, cell") > 0, "trajectory: shape of states")
    call chemistry%trajectory(n, times, temperature, conditions, states, status=status(1:2, :), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "time, cell") > 0, "trajectory: shape of status")
    call chemistry%trajectory(n, times, temperature, conditions, states, conserve=.false., stat=stat, errmsg=message)
    call check(stat == PCS_E_OPTION .and. index(message, "surrogate") > 0, "trajectory: conserve")
  end subroutine

  ! The Jacobian is the derivative of rhs; rhs is the sum of k times the reactants.
  subroutine test_derivatives()
    real(real64), allocatable :: n(:, :), moved(:, :), temperature(:), conditions(:, :), k(:, :), there(:, :)
    real(real64) :: dndt(29, 3), ahead(29, 3), jacobian(29, 29, 3), step
    integer(int8) :: status(3)
    integer :: reaction

    call make_cells(n, temperature, conditions)
    n = n + 1.0e-3_real64
    allocate (k(chemistry%n_reactions(), 3), source=-7.0_real64)
    there = k
    call check(size(k, 1) == 224, "n_reactions")
    call check(chemistry%reaction_equation(0) == "" .and. chemistry%reaction_equation(225) == "", "no reaction out of range")
    call chemistry%rate_coefficients(n, temperature, conditions, k, status=status, stat=stat)
    call check(stat == 0 .and. all(status == PCS_STATUS_UNCHANGED) .and. all(k >= 0), "rate_coefficients")
    do reaction = 1, size(k, 1)
      if (chemistry%reaction_equation(reaction) == "H2 -> H + H") exit
    end do
    call check(reaction <= 224, "reaction_equation")
    call chemistry%rate_coefficients(n, temperature, 2 * conditions, there)
    call check(abs(there(reaction, 1) / k(reaction, 1) - 2) < 1.0e-14_real64, "k of a cosmic-ray reaction")

    call chemistry%rhs(n, temperature, conditions, dndt, status=status)
    call chemistry%jacobian(n, temperature, conditions, jacobian)
    moved = n
    step = 1.0e-3_real64 * n(chemistry%species_index("C+"), 2)
    moved(chemistry%species_index("C+"), 2) = moved(chemistry%species_index("C+"), 2) + step
    call chemistry%rhs(moved, temperature, conditions, ahead)
    ahead = (ahead - dndt) / step - jacobian(:, chemistry%species_index("C+"), :)
    call check(maxval(abs(ahead(:, 2))) < 1.0e-9_real64 * maxval(abs(jacobian(:, :, 2))), "jacobian")
    call check(all(ahead(:, 1) == -jacobian(:, chemistry%species_index("C+"), 1)), "rhs of a cell that did not move")

    n(4, 1) = ieee_value(step, ieee_quiet_nan)
    call chemistry%rhs(n, temperature, conditions, dndt, status=status, stat=stat)
    call check(stat == 0 .and. status(1) == PCS_STATUS_BAD_INPUT .and. all(ieee_is_nan(dndt(:, 1))), &
               "rhs of a bad cell")
    call check(status(2) == PCS_STATUS_UNCHANGED .and. all(.not. ieee_is_nan(dndt(:, 2))), "and of its neighbour")
    call chemistry%rhs(n, temperature, conditions, dndt(1:28, :), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "rhs: dndt") == 1, "rhs: shape")
    call chemistry%jacobian(n, temperature, conditions, jacobian(:, 1:28, :), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "jacobian: jacobian") == 1, "jacobian: shape")
    call chemistry%rate_coefficients(n, temperature, conditions, k(1:7, :), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "rate_coefficients: k") == 1, "rate_coefficients: shape")
  end subroutine

  ! Mass fractions, with the density as the last condition.
  subroutine test_units()
    real(real64), allocatable :: n(:, :), x(:, :), temperature(:), conditions(:, :), more(:, :)
    real(real64) :: mass(29), rho
    integer(int8) :: status(3)
    real(real64), parameter :: dt = 1.0e11_real64

    call make_cells(n, temperature, conditions)
    do i = 1, 29
      mass(i) = chemistry%species_mass(i)
    end do
    call check(abs(mass(chemistry%species_index("e-")) / 9.1093837e-28_real64 - 1) < 1e-6_real64, "species_mass")
    value = chemistry%species_mass(30, stat, message)
    call check(stat == PCS_E_ARGUMENT .and. value == 0, "species_mass out of range")
    rho = dot_product(mass, n(:, 1))
    allocate (x(29, 3), more(2, 3))
    more(1, :) = conditions(1, :)
    more(2, :) = rho
    do i = 1, 3
      x(:, i) = n(:, i) * mass / rho
    end do
    x(1, 2) = -1
    call chemistry%step(n, dt, temperature, conditions)
    call chemistry%set_option("units", "mass_fraction")
    call check(chemistry%n_conditions() == 2 .and. chemistry%condition_name(2) == "rho", "units: the last condition")
    call chemistry%step(x, dt, temperature, more, status=status)
    call check(status(2) == PCS_STATUS_BAD_INPUT .and. x(1, 2) == -1, "units: a bad cell keeps its input")
    call check(maxval(abs(x(:, 3) * rho / mass - n(:, 3)) / (n(:, 3) + 1.0e-9_real64)) < 1.0e-6_real64, "units: step")
    call chemistry%step(x, dt, temperature, conditions, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "condition") > 0, "units: a condition is missing")
    call chemistry%set_option("units", "number_density")
  end subroutine

  subroutine test_shapes()
    real(real64), allocatable :: n(:, :), before(:, :), temperature(:), conditions(:, :)
    integer(int8) :: two(2)
    real(real64), parameter :: dt = 1.0e11_real64

    call make_cells(n, temperature, conditions)
    before = n
    call chemistry%step(n(1:28, :), dt, temperature, conditions, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "28") > 0, "species extent: " // trim(message))
    call chemistry%step(n, [dt, dt], temperature, conditions, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "dt") > 0, "dt extent")
    call chemistry%step(n, dt, temperature(1:2), conditions, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "temperature") > 0, "temperature extent")
    call chemistry%step(n, dt, temperature, conditions(:, 1:2), stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "conditions") > 0, "conditions extent")
    call chemistry%step(n, dt, temperature, reshape([1e-16_real64, 1e-16_real64], [2, 1]), stat=stat)
    call check(stat == PCS_E_ARGUMENT, "number of conditions")
    two = 1_int8
    call chemistry%step(n, dt, temperature, conditions, mask=two, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "mask") > 0, "mask extent")
    call chemistry%step(n, dt, temperature, conditions, status=two, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "status") > 0, "status extent")
    call check(all(n == before) .and. all(two == 1_int8), "a refused call changes nothing")
  end subroutine

  ! A solver that is not open: an error code, never a crash.
  subroutine test_closed(solver)
    type(chem_solver), intent(inout) :: solver
    real(real64) :: n(29, 1), temperature(1), conditions(1, 1), dndt(29, 1), jacobian(29, 29, 1)
    integer :: counts(1)

    call check(.not. solver%is_open(), "closed: is_open")
    call check(solver%n_species() == 0 .and. solver%n_conditions() == 0 .and. solver%n_conserved() == 0, "closed: counts")
    call check(solver%species_index("CO") == 0 .and. solver%species_name(1) == "", "closed: names")
    call check(solver%n_reactions() == 0 .and. solver%reaction_equation(1) == "", "closed: reactions")
    value = solver%species_mass(1, stat, message)
    call check(stat == PCS_E_ARGUMENT .and. value == 0, "closed: species_mass")
    call solver%close(stat, message)
    call check(stat == 0, "closed: close")
    call check(solver%condition_index("zeta") == 0 .and. solver%condition_name(1) == "", "closed: conditions")
    call solver%set_option("mode", "exact", stat, message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "open") > 0, "closed: set_option")
    n = 1
    temperature = 10
    conditions = 1e-16_real64
    call solver%step(n, 1.0_real64, temperature, conditions, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. all(abs(n - 1) < tiny(1.0_real64)), "closed: step")
    call solver%rhs(n, temperature, conditions, dndt, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "rhs: the solver is not open") == 1, "closed: rhs")
    call solver%jacobian(n, temperature, conditions, jacobian, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "open") > 0, "closed: jacobian")
    call solver%rate_coefficients(n, temperature, conditions, dndt, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. index(message, "open") > 0, "closed: rate_coefficients")
    call solver%equilibrium(n, temperature, conditions, stat=stat, errmsg=message)
    call check(stat == PCS_E_ARGUMENT .and. all(abs(n - 1) < tiny(1.0_real64)), "closed: equilibrium")
    call solver%cell_statistics("steps", counts, stat, message)
    call check(stat == PCS_E_ARGUMENT, "closed: cell_statistics")
    value = solver%report("cells", stat, message)
    call check(stat == PCS_E_ARGUMENT, "closed: report")
    value = solver%composition(1, 1, stat, message)
    call check(stat == PCS_E_ARGUMENT, "closed: composition")
  end subroutine
end program interface_test
