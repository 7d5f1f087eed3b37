! The problems that can be run: what fills the box at first, and what flows in.
module problems
  use boundary, only: boundaries, fill_open_x, fill_periodic_y
  use case_file, only: case_setup
  use composition, only: composition_table
  use constants, only: dp, km_per_s, parsec
  use gas, only: gas_law, rho_, vx_
  use grid, only: ghosts, mesh
  use random_field, only: wave_field
  implicit none
  private
  public :: flow_problem

  type, extends(boundaries) :: flow_problem
    type(case_setup) :: setup
    type(gas_law) :: law
    type(composition_table) :: composition
    type(wave_field) :: density, velocity_x, velocity_y, surface
    real(dp) :: length_x, length_y   ! cm
  contains
    procedure :: prepare
    procedure :: fill_ghosts
    procedure, private :: state
    procedure, private :: put
  end type flow_problem

contains

  ! Set up the problem of the case and fill the box for time 0.
  subroutine prepare(self, setup, law, composition, cells)
    class(flow_problem), intent(inout) :: self
    type(case_setup), intent(in) :: setup
    type(gas_law), intent(in) :: law
    type(composition_table), intent(in) :: composition
    type(mesh), intent(inout) :: cells
    integer :: i, j

    self%setup = setup
    self%law = law
    self%composition = composition
    self%length_x = cells%nx * cells%dx
    self%length_y = cells%rows * cells%dy
    self%density = wave_field(self%length_x, self%length_y, setup%flow%seed, .false.)
    self%velocity_x = wave_field(self%length_x, self%length_y, setup%flow%seed + 1, .false.)
    self%velocity_y = wave_field(self%length_x, self%length_y, setup%flow%seed + 2, .false.)
    self%surface = wave_field(self%length_x, self%length_y, setup%flow%seed + 3, .true.)
    do j = 1, cells%ny
      do i = 1, cells%nx
        call self%put(cells, i, j)
      end do
    end do
  end subroutine

  ! Ghost cells for the time cells%time.
  subroutine fill_ghosts(self, cells)
    class(flow_problem), intent(in) :: self
    type(mesh), intent(inout) :: cells
    integer :: j, k

    if (self%setup%run%problem == "sod") then
      call fill_open_x(cells, -1)
    else
      do j = 1, cells%ny
        do k = 1, ghosts
          call self%put(cells, 1 - k, j)
        end do
      end do
    end if
    if (self%setup%run%problem == "colliding_flows") then
      do j = 1, cells%ny
        do k = 1, ghosts
          call self%put(cells, cells%nx + k, j)
        end do
      end do
    else
      call fill_open_x(cells, +1)
    end if
    call fill_periodic_y(cells)
  end subroutine

  ! Put the undisturbed gas of time cells%time into one cell.
  subroutine put(self, cells, i, j)
    class(flow_problem), intent(in) :: self
    type(mesh), intent(inout) :: cells
    integer, intent(in) :: i, j
    real(dp) :: w(4), n_h

    w = self%state(cells%x(i), cells%y(j), cells%time)
    n_h = self%law%hydrogen(w(rho_))
    cells%u(:, i, j) = self%law%conserved(w)
    if (cells%n_species > 0) cells%n(:, i, j) = n_h * self%composition%value(n_h)
  end subroutine

  ! The undisturbed gas at a place [cm] and time [s]: primitive variables.
  function state(self, x, y, time) result(w)
    class(flow_problem), intent(in) :: self
    real(dp), intent(in) :: x, y, time
    real(dp) :: w(4), n_h, velocity(2)

    select case (self%setup%run%problem)
    case ("colliding_flows")
      call colliding_stream(self, x, y, time, n_h, velocity)
    case ("shock_cloud")
      call shocked_cloud(self, x, n_h, velocity)
    case ("sod")
      w = merge([1.0_dp, 0.0_dp, 0.0_dp, 1.0_dp], [0.125_dp, 0.0_dp, 0.0_dp, 0.1_dp], x < 0)   ! Sod 1978
      return
    case default
      error stop "case file: run%problem must be colliding_flows, shock_cloud or sod"
    end select
    w(rho_) = n_h * self%law%mass_per_h
    w(vx_:vx_ + 1) = velocity
    w(4) = self%law%pressure(w(rho_), self%law%balance(n_h))
  end function

  ! Two clumpy, turbulent streams that meet at a corrugated surface near x = 0. Each stream's pattern moves with it.
  subroutine colliding_stream(self, x, y, time, n_h, velocity)
    class(flow_problem), intent(in) :: self
    real(dp), intent(in) :: x, y, time
    real(dp), intent(out) :: n_h, velocity(2)
    real(dp) :: speed, at_start

    associate (flow => self%setup%flow)
      speed = sign(flow%speed_kms * km_per_s, flow%displacement_pc * parsec * self%surface%value(x, y) - x)
      at_start = x - speed * time
      n_h = flow%n_stream * exp(flow%density_contrast * self%density%value(at_start, y))
      velocity = flow%turbulence_kms * km_per_s * [self%velocity_x%value(at_start, y), self%velocity_y%value(at_start, y)]
      velocity(1) = velocity(1) + speed
    end associate
  end subroutine

  ! A stream from the left runs into gas at rest with a cloud in it.
  subroutine shocked_cloud(self, x, n_h, velocity)
    class(flow_problem), intent(in) :: self
    real(dp), intent(in) :: x
    real(dp), intent(out) :: n_h, velocity(2)
    real(dp) :: width, share

    associate (flow => self%setup%flow)
      width = 0.03_dp * self%length_x
      share = 0.5_dp * (tanh((x + 0.15_dp * self%length_x) / width) - tanh((x - 0.3_dp * self%length_x) / width))
      n_h = flow%n_stream + (flow%n_cloud - flow%n_stream) * share
      velocity = [merge(flow%speed_kms * km_per_s, 0.0_dp, x < -0.35_dp * self%length_x), 0.0_dp]
    end associate
  end subroutine
end module problems
