! The Euler equations and the advection of species: MUSCL reconstruction, HLLC fluxes, unsplit in space, Heun's method
! in time (the second-order strong-stability-preserving Runge-Kutta method of Shu & Osher 1988).
module hydro
  use boundary, only: boundaries
  use constants, only: dp
  use gas, only: energy_, gas_law, mx_, my_, pressure_, rho_, vx_, vy_
  use grid, only: ghosts, mesh
  use parallel, only: largest
  use reconstruct, only: gas_slope, species_slope
  use riemann, only: hllc
  implicit none
  private
  public :: hydro_step, stable_time_step

contains

  ! The CFL time step [s], the same on all ranks: no wave crosses more than the share cfl of a cell.
  function stable_time_step(cells, law, cfl) result(dt)
    type(mesh), intent(in) :: cells
    type(gas_law), intent(in) :: law
    real(dp), intent(in) :: cfl
    real(dp) :: dt, crossings, w(4), c
    integer :: i, j

    crossings = 0   ! 1/s
    do j = 1, cells%ny
      do i = 1, cells%nx
        w = law%primitive(cells%u(:, i, j))
        c = law%sound_speed(w)
        if (cells%two_dimensional()) then
          crossings = max(crossings, (abs(w(vx_)) + c) / cells%dx + (abs(w(vy_)) + c) / cells%dy)
        else
          crossings = max(crossings, (abs(w(vx_)) + c) / cells%dx)
        end if
      end do
    end do
    dt = cfl / largest(crossings)
    if (.not. dt > 0) error stop "hydro: the time step is not a positive number; look at the last snapshot"
  end function

  ! Advance gas and species by dt [s].
  subroutine hydro_step(cells, law, dt, around)
    type(mesh), intent(inout) :: cells
    type(gas_law), intent(in) :: law
    real(dp), intent(in) :: dt
    class(boundaries), intent(in) :: around
    type(mesh) :: stage

    call around%fill_ghosts(cells)
    stage = cells
    call add_euler_step(stage, law, dt)
    stage%time = cells%time + dt
    call around%fill_ghosts(stage)
    call add_euler_step(stage, law, dt)
    cells%u = 0.5_dp * (cells%u + stage%u)
    cells%n = 0.5_dp * (cells%n + stage%n)
    if (law%thermal_balance) call to_thermal_balance(cells, law)
    cells%time = cells%time + dt
  end subroutine

  ! Give every cell the internal energy of its thermal balance T(n_H).
  subroutine to_thermal_balance(cells, law)
    type(mesh), intent(inout) :: cells
    type(gas_law), intent(in) :: law
    real(dp) :: w(4)
    integer :: i, j
    do j = 1, cells%ny
      do i = 1, cells%nx
        w = law%primitive(cells%u(:, i, j))
        w(pressure_) = law%pressure(w(rho_), law%balance(law%hydrogen(w(rho_))))
        cells%u(:, i, j) = law%conserved(w)
      end do
    end do
  end subroutine

  ! cells <- cells + dt * (what the fluxes bring), then thermal balance.
  subroutine add_euler_step(cells, law, dt)
    type(mesh), intent(inout) :: cells
    type(gas_law), intent(in) :: law
    real(dp), intent(in) :: dt
    real(dp), allocatable :: du(:, :, :), dn(:, :, :)
    real(dp), allocatable :: u(:, :), n(:, :), flux(:, :), species_flux(:, :)
    integer, parameter :: turned(4) = [rho_, my_, mx_, energy_]   ! y takes the part of the normal direction
    integer :: i, j, nx, ny

    nx = cells%nx
    ny = cells%ny
    allocate (du(4, nx, ny), dn(cells%n_species, nx, ny))

    !$omp parallel private(u, n, flux, species_flux, i, j) if (cells%two_dimensional())   ! 1-D: one line, one thread
    allocate (flux(4, 0:nx), species_flux(cells%n_species, 0:nx))
    !$omp do
    do j = 1, ny
      call line_fluxes(law, cells%u(:, :, j), cells%n(:, :, j), flux, species_flux)
      do i = 1, nx
        du(:, i, j) = (flux(:, i - 1) - flux(:, i)) / cells%dx
        dn(:, i, j) = (species_flux(:, i - 1) - species_flux(:, i)) / cells%dx
      end do
    end do
    !$omp end do
    if (cells%two_dimensional()) then
      deallocate (flux, species_flux)
      allocate (flux(4, 0:ny), species_flux(cells%n_species, 0:ny))
      !$omp do
      do i = 1, nx
        u = cells%u(turned, i, :)
        n = cells%n(:, i, :)
        call line_fluxes(law, u, n, flux, species_flux)
        do j = 1, ny
          du(:, i, j) = du(:, i, j) + (flux(turned, j - 1) - flux(turned, j)) / cells%dy
          dn(:, i, j) = dn(:, i, j) + (species_flux(:, j - 1) - species_flux(:, j)) / cells%dy
        end do
      end do
      !$omp end do
    end if
    !$omp end parallel

    cells%u(:, 1:nx, 1:ny) = cells%u(:, 1:nx, 1:ny) + dt * du
    cells%n(:, 1:nx, 1:ny) = cells%n(:, 1:nx, 1:ny) + dt * dn
    if (law%thermal_balance) call to_thermal_balance(cells, law)
  end subroutine

  ! Fluxes through the interfaces of one line of cells. The first momentum is the one along the line.
  ! Species ride on the mass flux: a composition n_i / n_H is reconstructed and taken from the side that the gas
  ! comes from, so that n_H and every element flow with the gas.
  subroutine line_fluxes(law, u, n, flux, species_flux)
    type(gas_law), intent(in) :: law
    real(dp), intent(in) :: u(:, 1 - ghosts:), n(:, 1 - ghosts:)
    real(dp), intent(out) :: flux(:, 0:), species_flux(:, 0:)
    real(dp), dimension(4, 1 - ghosts:ubound(u, 2)) :: w, dw
    real(dp), dimension(size(n, 1), 1 - ghosts:ubound(n, 2)) :: q, dq
    integer :: i, cells

    cells = ubound(flux, 2)
    do i = 1 - ghosts, cells + ghosts
      w(:, i) = law%primitive(u(:, i))
      q(:, i) = n(:, i) / law%hydrogen(u(rho_, i))
    end do
    do i = 0, cells + 1
      dw(:, i) = gas_slope(w(:, i - 1), w(:, i), w(:, i + 1))
      dq(:, i) = species_slope(q(:, i - 1), q(:, i), q(:, i + 1))
    end do
    do i = 0, cells
      flux(:, i) = hllc(w(:, i) + 0.5_dp * dw(:, i), w(:, i + 1) - 0.5_dp * dw(:, i + 1), law%gamma)
      if (flux(rho_, i) >= 0) then
        species_flux(:, i) = law%hydrogen(flux(rho_, i)) * (q(:, i) + 0.5_dp * dq(:, i))
      else
        species_flux(:, i) = law%hydrogen(flux(rho_, i)) * (q(:, i + 1) - 0.5_dp * dq(:, i + 1))
      end if
    end do
  end subroutine
end module hydro
