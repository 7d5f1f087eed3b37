! The same step through the Fortran module, for call_overhead.cpp. SPDX-License-Identifier: BSD-3-Clause
module call_overhead
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_int, c_int64_t, c_null_char
  use pychemsurrogate, only: chem_solver
  implicit none
  private
  type(chem_solver), save :: chemistry

contains

  subroutine fortran_open(model, mode) bind(c)
    character(kind=c_char), intent(in) :: model(*), mode(*)
    call chemistry%open(text(model))
    call chemistry%set_option("mode", text(mode))
    call chemistry%set_option("threads", 1)
    call chemistry%set_option("audit", 0.0_c_double)
  end subroutine

  subroutine fortran_step(cells, species, n, dt, temperature, zeta) bind(c)
    integer(c_int64_t), value :: cells
    integer(c_int), value :: species
    real(c_double), intent(inout) :: n(species, cells), temperature(cells)
    real(c_double), intent(in) :: dt(cells), zeta(1, cells)
    call chemistry%step(n, dt, temperature, zeta)
  end subroutine

  function text(letters)
    character(kind=c_char), intent(in) :: letters(*)
    character(:), allocatable :: text
    integer :: i
    i = 1
    do while (letters(i) /= c_null_char)
      i = i + 1
    end do
    allocate (character(i - 1) :: text)
    text = transfer(letters(1:i - 1), text)
  end function

end module call_overhead
