! Failures without stat=: each ends the program with a message. Usage: error_stop_test CASE MODEL.pcs
program error_stop_test
  use, intrinsic :: iso_fortran_env, only: real64
  use pychemsurrogate, only: chem_solver
  implicit none
  type(chem_solver) :: chemistry, copy
  character(512) :: which, model
  real(real64) :: n(3, 1), temperature(1), conditions(1, 1), value

  call get_command_argument(1, which)
  call get_command_argument(2, model)
  n = 1
  temperature = 10
  conditions = 1e-16_real64
  select case (which)
  case ("open")
    call chemistry%open("no/such/model.pcs")
  case ("closed")
    call chemistry%step(n, 1.0_real64, temperature, conditions)
  case ("shape")
    call chemistry%open(model)
    call chemistry%step(n, 1.0_real64, temperature, conditions)
  case ("option")
    call chemistry%open(model)
    call chemistry%set_option("colour", "blue")
  case ("report")
    call chemistry%open(model)
    value = chemistry%report("weather")
    print *, value
  case ("copy")
    call chemistry%open(model)
    copy = chemistry
  end select
  print '(a)', "still running"
end program error_stop_test
