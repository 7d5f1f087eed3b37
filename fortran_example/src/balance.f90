! How unequal the ranks of a run are. Cells that the surrogate refuses cost more, they are not spread evenly over the
! box, and every step all ranks wait for the slowest.
module balance
  use constants, only: dp
  use parallel, only: largest, ranks, total
  implicit none
  private
  public :: imbalance

  ! Of a quantity that every rank has some of in every step: largest / mean over the ranks; 1 is perfect balance.
  type :: imbalance
    real(dp) :: last = 1    ! of the last step
    real(dp) :: worst = 1   ! of the worst step
    real(dp), private :: sum_of_largest = 0, sum_of_means = 0
  contains
    procedure :: add
    procedure :: overall
  end type imbalance

contains

  ! Count this rank's amount in one step; all ranks must call it.
  subroutine add(self, mine)
    class(imbalance), intent(inout) :: self
    real(dp), intent(in) :: mine
    real(dp) :: most, mean
    most = largest(mine)
    mean = total(mine) / ranks
    self%last = ratio(most, mean)
    self%worst = max(self%worst, self%last)
    self%sum_of_largest = self%sum_of_largest + most
    self%sum_of_means = self%sum_of_means + mean
  end subroutine

  ! Over all steps: of seconds, what the ranks took in all over what they would take if they were equal.
  pure function overall(self)
    class(imbalance), intent(in) :: self
    real(dp) :: overall
    overall = ratio(self%sum_of_largest, self%sum_of_means)
  end function

  ! Where there is nothing to do, nobody has more of it; round-off never makes a ratio below 1.
  pure function ratio(most, mean)
    real(dp), intent(in) :: most, mean
    real(dp) :: ratio
    ratio = 1
    if (mean > 0) ratio = max(1.0_dp, most / mean)
  end function
end module balance
