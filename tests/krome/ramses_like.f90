! A sweep over the leaves of a tree in vectors of cells: uold has the density in 1, the energy in 2, species behind.
module amr
  use krome_user
  implicit none
  integer, parameter :: nvector = 5, twotondim = 8, first = 3
  real*8, parameter :: scale_d = 1d-22
  real*8 :: uold(nvector*twotondim, first + krome_nmols - 1), T2(nvector*twotondim), rates(nvector*twotondim)
  logical :: son(nvector*twotondim)
contains
  subroutine coolfine(ngrid, dtcool)
    use krome_main
    use cells, only: record
    integer, intent(in) :: ngrid
    real*8, intent(in) :: dtcool
    integer :: i, ind, nleaf, ind_leaf(nvector)
    real*8 :: unoneq(krome_nmols), before(krome_nmols), mass(krome_nmols), mu_old, mu_new, tgas, T2_new, dt

    mass(:) = krome_get_mass()
    do ind = 1, twotondim
      nleaf = 0
      do i = 1, ngrid
        if (.not. son((ind - 1)*nvector + i)) then
          nleaf = nleaf + 1
          ind_leaf(nleaf) = (ind - 1)*nvector + i
        end if
      end do
      do i = 1, nleaf
        unoneq(:) = uold(ind_leaf(i), first:)*scale_d/mass(:)
        mu_old = krome_get_mu(unoneq(:))
        tgas = T2(ind_leaf(i))*mu_old
        dt = dtcool
        before(:) = unoneq(:)
        call krome_set_user_crate(rates(ind_leaf(i)))
        call krome(unoneq(:), tgas, dt)
        call record(tgas, rates(ind_leaf(i)), dt, before, unoneq)
        mu_new = krome_get_mu(unoneq(:))
        T2_new = tgas/mu_new
        T2(ind_leaf(i)) = T2_new
        uold(ind_leaf(i), first:) = unoneq(:)*mass(:)/scale_d
      end do
    end do
  end subroutine
end module

program ramses_like
  use amr
  use cells
  use krome_main
  implicit none
  integer :: i, c

  call read_cells()
  do i = 1, nvector*twotondim
    c = mod(i - 1, ncells) + 1
    son(i) = mod(i, 3) == 0
    uold(i, 1) = krome_get_rho(n_in(:, c))/scale_d
    uold(i, 2) = 0d0
    uold(i, first:) = n_in(:, c)*krome_get_mass()/scale_d
    T2(i) = temperature(c)/krome_get_mu(n_in(:, c))
    rates(i) = crate(c)
  end do
  call krome_init()
  call coolfine(nvector, 1d3*krome_seconds_per_year)
end program
