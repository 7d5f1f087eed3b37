! Who closes a handle, and when: counted by fake_pcs.c.
program lifetime_test
  use, intrinsic :: iso_c_binding, only: c_int
  use expect, only: check, finish
  use pychemsurrogate, only: CHEM_ABI_EXPECTED, PCS_E_INTERNAL, chem_abi_version, chem_solver
  implicit none
  interface
    function fake_open_handles() bind(c) result(n)
      import :: c_int
      integer(c_int) :: n
    end function
  end interface
  type :: host
    type(chem_solver) :: chemistry
  end type
  type(host), allocatable :: component
  type(chem_solver), allocatable :: several(:)
  type(chem_solver) :: chemistry, first, second
  character(200) :: message
  integer :: stat

  if (chem_abi_version() /= CHEM_ABI_EXPECTED) then
    call chemistry%open("model", stat, message)
    call check(stat == PCS_E_INTERNAL .and. .not. chemistry%is_open(), "another ABI version is refused")
    call check(index(message, "ABI") > 0 .and. index(message, "pychemsurrogate.f90") > 0, trim(message))
    call check(fake_open_handles() == 0, "nothing was opened")
    call finish()
    stop
  end if

  call local_variable()
  call check(fake_open_handles() == 0, "a local solver is closed at the end of its procedure")
  allocate (component)
  call component%chemistry%open("model")
  deallocate (component)
  call check(fake_open_handles() == 0, "a component is closed with what it is part of")
  allocate (several(3))
  call several(1)%open("model")
  call several(3)%open("model")
  call check(fake_open_handles() == 2, "an array of solvers")
  deallocate (several)
  call check(fake_open_handles() == 0, "an array of solvers is closed, opened or not")
  call chemistry%open("model")
  call chemistry%open("model")
  call check(fake_open_handles() == 1, "open closes what was open")
  call chemistry%close()
  call chemistry%close()
  call check(fake_open_handles() == 0, "closing twice closes once")
  first = second
  call check(.not. first%is_open(), "closed solvers may be assigned")
  call finish()

contains

  subroutine local_variable()
    type(chem_solver) :: local
    call local%open("model")
    call check(fake_open_handles() == 1, "open")
  end subroutine
end program lifetime_test
