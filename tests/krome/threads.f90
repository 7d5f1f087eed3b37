! Cells in parallel: krome() per cell with variables set inside, krome_batch with and without them; prints a hash of the
! bits, which must not depend on the number of threads. And what set means inside and outside of a parallel region.
program threads
  use, intrinsic :: iso_fortran_env, only: int64
  use omp_lib
  use krome_main
  use krome_user
  use cells
  implicit none
  real*8, allocatable :: x(:, :), y(:, :), user(:, :), seen(:)
  integer, allocatable :: status(:)
  integer :: i, ierr, failed, team
  integer(int64) :: hash

  call read_cells()
  call krome_init()
  allocate (x(krome_nmols, ncells), y(krome_nmols, ncells), user(krome_nuser, ncells), status(ncells))
  x = n_in(:, :ncells)
  failed = 0
  !$omp parallel do reduction(+:failed) private(ierr)
  do i = 1, ncells
    call krome_set_user_crate(crate(i))
    call krome(x(:, i), temperature(i), 3d10, ierr)
    if (ierr /= 0 .or. krome_get_status() < 0) failed = failed + 1
  end do
  !$omp end parallel do
  if (failed > 0 .or. krome_get_failures() > 0) error stop "krome failed"

  y = n_in(:, :ncells)
  user(krome_idx_user_crate, :) = crate(:ncells)
  call krome_batch(y, temperature(:ncells), 3d10, ierr, status, user)
  if (ierr /= 0 .or. any(status < 0)) error stop "krome_batch failed"
  if (any(x /= y)) error stop "krome and krome_batch differ"
  hash = 0
  do i = 1, ncells
    hash = hash + sum(ieor(transfer(x(:, i), hash, krome_nmols), int(i, int64)))
    call record(temperature(i), crate(i), 3d10, n_in(:, i), x(:, i))
  end do
  print '(z16.16)', hash

  ! Set outside: every thread's.
  team = omp_get_max_threads()
  allocate (seen(team))
  call krome_set_user_crate(5d-17)
  !$omp parallel
  seen(omp_get_thread_num() + 1) = krome_get_user_crate()
  !$omp end parallel
  if (any(seen /= 5d-17)) error stop "set outside"
  if (team == 1) stop
  ! Set inside: the thread's own, also in the next region; set outside again: every thread's again.
  !$omp parallel
  call krome_set_user_crate(1d-18*omp_get_thread_num())
  !$omp barrier
  seen(omp_get_thread_num() + 1) = krome_get_user_crate()
  !$omp end parallel
  if (any(seen /= [(1d-18*(i - 1), i=1, team)])) error stop "set inside"
  !$omp parallel
  seen(omp_get_thread_num() + 1) = krome_get_user_crate()
  !$omp end parallel
  if (any(seen /= [(1d-18*(i - 1), i=1, team)])) error stop "kept"
  call krome_set_user_crate(7d-17)
  !$omp parallel
  seen(omp_get_thread_num() + 1) = krome_get_user_crate()
  !$omp end parallel
  if (any(seen /= 7d-17)) error stop "set outside again"
end program
