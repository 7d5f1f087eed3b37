! What the Fortran test programs share: a check that goes on after a failure, and a verdict at the end.
module expect
  implicit none
  private
  public :: check, finish
  integer :: failures = 0
contains
  subroutine check(holds, what)
    logical, intent(in) :: holds
    character(*), intent(in) :: what
    if (holds) return
    failures = failures + 1
    print '(2a)', "FAILED: ", what
  end subroutine

  subroutine finish()
    if (failures > 0) error stop "some checks failed"
    print '(a)', "all checks passed"
  end subroutine
end module expect
