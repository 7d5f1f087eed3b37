! What to run: one namelist file a case, in the units of the field (pc, km/s, kyr). cases/ holds examples.
module case_file
  use constants, only: dp
  implicit none
  private
  public :: case_setup, read_case

  type, public :: run_group
    character(32) :: problem = ""            ! colliding_flows | shock_cloud | sod
    real(dp) :: t_end_kyr = 0
    integer :: max_steps = huge(1)           ! stop after this many steps
    integer :: snapshots = 8                 ! snapshots after the initial one, evenly spaced in time
    integer :: progress_every = 20           ! steps between two progress lines
    real(dp) :: cfl = 0.4_dp                 ! at most 0.5 keeps densities positive
  end type

  type, public :: grid_group
    integer :: nx = 0, ny = 1                ! cells; ny = 1 is a 1-D run
    real(dp) :: length_x_pc = 0, length_y_pc = 0
  end type

  type, public :: gas_group
    real(dp) :: gamma = 1.001_dp             ! ratio of specific heats within a time step
    logical :: thermal_balance = .true.      ! T = T(n_H) after each step; .false.: an adiabatic gas
    real(dp) :: mu = 2.33_dp                 ! mean molecular weight [m_H]: H2 with He/H = 0.1
    real(dp) :: mass_per_h = 1.4_dp          ! gas mass per H nucleus [m_H]: He is in the gas, not in the network
    real(dp) :: t_cold = 10, t_warm = 300    ! K, T = t_cold + (t_warm - t_cold) / (1 + (n_H / n_balance)^slope)
    real(dp) :: n_balance = 200              ! cm^-3
    real(dp) :: slope = 0.6_dp
  end type

  type, public :: flow_group
    real(dp) :: n_stream = 400               ! cm^-3, median H nuclei of the inflowing gas
    real(dp) :: n_cloud = 5000               ! cm^-3, H nuclei in the middle of the cloud (shock_cloud)
    real(dp) :: speed_kms = 0                ! of each stream
    real(dp) :: density_contrast = 0         ! standard deviation of ln n_H in the streams
    real(dp) :: turbulence_kms = 0           ! standard deviation of each velocity component in the streams
    real(dp) :: displacement_pc = 0          ! standard deviation of the collision surface about x = 0
    integer :: seed = 1                      ! of the random phases
  end type

  type, public :: chemistry_group
    real(dp) :: carbon = 1.0e-4_dp           ! C nuclei per H nucleus
    real(dp) :: oxygen = 2.0e-4_dp           ! O nuclei per H nucleus
    real(dp) :: zeta = 1.0e-16_dp            ! 1/s, cosmic-ray ionisation rate per H2
    real(dp) :: age_kyr = 100                ! how long the gas has reacted before the run starts
    logical :: react = .true.                ! .false.: species are only advected
    character(80) :: options(8) = ""         ! of the library, "key=value" each (pcs.h lists them), e.g. "audit=0"
    integer :: devices = 0                   ! accelerators of a node, dealt out to its ranks; 0: the model runs on the CPU
  end type

  type :: case_setup
    type(run_group) :: run
    type(grid_group) :: grid
    type(gas_group) :: gas
    type(flow_group) :: flow
    type(chemistry_group) :: chemistry
  end type

contains

  function read_case(path) result(setup)
    character(*), intent(in) :: path
    type(case_setup) :: setup
    type(run_group) :: run
    type(grid_group) :: grid
    type(gas_group) :: gas
    type(flow_group) :: flow
    type(chemistry_group) :: chemistry
    namelist /case/ run, grid, gas, flow, chemistry
    integer :: unit, stat
    character(256) :: message

    open (newunit=unit, file=path, status="old", action="read", iostat=stat, iomsg=message)
    if (stat == 0) then
      read (unit, nml=case, iostat=stat, iomsg=message)
      close (unit)
    end if
    if (stat /= 0) then
      write (*, '(4a)') "case file ", path, ": ", trim(message)
      error stop "the case file cannot be read: compare it with those in cases/"
    end if
    if (grid%nx < 4 .or. (grid%ny < 4 .and. grid%ny /= 1)) error stop "case file: nx and ny must be at least 4 (or ny = 1)"
    if (grid%length_x_pc <= 0) error stop "case file: grid%length_x_pc must be positive"
    if (grid%ny > 1 .and. grid%length_y_pc <= 0) error stop "case file: grid%length_y_pc must be positive"
    if (run%t_end_kyr <= 0) error stop "case file: run%t_end_kyr must be positive"
    if (run%snapshots < 1) error stop "case file: run%snapshots must be at least 1"
    if (run%cfl <= 0 .or. run%cfl > 0.5_dp) error stop "case file: run%cfl must lie in (0, 0.5]"
    setup = case_setup(run, grid, gas, flow, chemistry)
  end function read_case
end module case_file
