! The coupling of gas and chemistry: one call of pychemsurrogate per time step, for all cells of this rank.
module chemistry
  use, intrinsic :: iso_fortran_env, only: error_unit
  use balance, only: imbalance
  use case_file, only: chemistry_group
  use composition, only: composition_table
  use constants, only: dp, i1, i8, kiloyear
  use gas, only: gas_law, pressure_, rho_
  use grid, only: mesh
  use parallel, only: gather_rows, largest, local_rank, rank, total
  use pychemsurrogate, only: chem_solver, chem_status_message
  implicit none
  private
  public :: cell_chemistry

  ! What happened to the cells of all ranks in all steps so far, under the names of the library's report.
  integer, parameter, public :: n_figures = 14
  character(17), parameter, public :: figure_names(n_figures) = [character(17) :: &
    "cells", "surrogate", "unchanged", "exact", "routed", "refused_box", "refused_distance", "refused_error", &
    "refused_budget", "audited", "second_try", "failed", "seconds_surrogate", "seconds_exact"]

  type :: cell_chemistry
    type(chem_solver) :: solver
    character(:), allocatable :: mode              ! auto, surrogate or exact
    integer :: n_species = 0
    character(16), allocatable :: species(:)       ! names
    character(16), allocatable :: conserved(:)     ! the elements, then "charge"
    real(dp), allocatable :: content(:, :)         ! (conserved, species): what one particle holds
    real(dp) :: figures(n_figures) = 0             ! sums over all steps and ranks, of seconds over the slowest ranks
    type(imbalance) :: seconds_balance             ! of the seconds that the ranks spend in the library
    type(imbalance) :: exact_balance               ! of the cells that they integrate
    real(dp) :: defect = 0                         ! largest relative change of an element or of charge in one step
    integer(i1), allocatable :: status(:, :)       ! (x, y) of the last step, of this rank's cells
    real(dp), allocatable :: n(:, :), temperature(:), conditions(:, :)   ! what the library is handed
  contains
    procedure :: open => open_model
    procedure :: relaxed_composition
    procedure :: react
    procedure :: whole_status
    procedure :: figure
    procedure :: index_of
  end type cell_chemistry

contains

  subroutine open_model(self, model, mode, setup)
    class(cell_chemistry), intent(inout) :: self
    character(*), intent(in) :: model, mode
    type(chemistry_group), intent(in) :: setup
    character(16) :: device
    integer :: conditions, zeta, i, k

    call self%solver%open(model)
    call self%solver%set_option("mode", mode)
    if (setup%devices > 0) then   ! by libpcs_cuda, or by torch in libpcs_embed
      write (device, '(a,i0)') "cuda:", modulo(local_rank, setup%devices)
      call self%solver%set_option("device", trim(device))
    end if
    do k = 1, size(setup%options)
      if (setup%options(k) == "") cycle
      i = index(setup%options(k), "=")
      if (i == 0) error stop "case file: chemistry%options must be of the form key=value"
      call self%solver%set_option(setup%options(k)(:i - 1), trim(setup%options(k)(i + 1:)))
    end do
    self%mode = mode
    conditions = self%solver%n_conditions()
    zeta = self%solver%condition_index("zeta")
    if (conditions /= 1 .or. zeta /= 1) then
      error stop "chemistry: this code hands in zeta alone; the model's network asks for other conditions"
    end if
    self%n_species = self%solver%n_species()
    allocate (self%species(self%n_species), self%conserved(self%solver%n_conserved()))
    allocate (self%content(size(self%conserved), self%n_species))
    do i = 1, self%n_species
      self%species(i) = self%solver%species_name(i)
    end do
    do k = 1, size(self%conserved)
      self%conserved(k) = self%solver%conserved_name(k)
      do i = 1, self%n_species
        self%content(k, i) = self%solver%composition(k, i)
      end do
    end do
  end subroutine

  ! Gas of every density that has reacted for setup%age_kyr at its thermal balance, from H2, O and C+ (the order in
  ! which a cloud forms: hydrogen is molecular before carbon recombines). Exact in every mode, so that runs in
  ! different modes start from the same state. Every rank computes it for itself, to the same bits.
  function relaxed_composition(self, law, setup) result(table)
    class(cell_chemistry), intent(inout) :: self
    type(gas_law), intent(in) :: law
    type(chemistry_group), intent(in) :: setup
    type(composition_table) :: table
    integer, parameter :: densities = 49   ! 10 .. 10^7 cm^-3, eight a decade
    real(dp) :: n_h(densities), temperature(densities), conditions(1, densities)
    integer(i1) :: status(densities)
    integer :: k

    allocate (table%log_n_h(densities))
    allocate (table%q(self%n_species, densities), source=0.0_dp)
    do k = 1, densities
      table%log_n_h(k) = 1 + (k - 1) / 8.0_dp
    end do
    n_h = 10**table%log_n_h
    table%q(self%index_of("H2"), :) = 0.5_dp * n_h
    table%q(self%index_of("O"), :) = setup%oxygen * n_h
    table%q(self%index_of("C+"), :) = setup%carbon * n_h
    table%q(self%index_of("e-"), :) = setup%carbon * n_h
    temperature = law%balance(n_h)
    conditions = setup%zeta
    call self%solver%set_option("mode", "exact")
    call self%solver%step(table%q, setup%age_kyr * kiloyear, temperature, conditions, status=status)
    call self%solver%set_option("mode", self%mode)
    if (any(status < 0)) then
      write (error_unit, '(2a)') "chemistry: ", chem_status_message(minval(status))
      error stop "chemistry: the initial composition could not be computed"
    end if
    do k = 1, densities
      table%q(:, k) = table%q(:, k) / n_h(k)
    end do
  end function

  ! Let every cell react for dt [s] at its density, temperature and zeta [1/s].
  subroutine react(self, cells, law, zeta, dt)
    class(cell_chemistry), intent(inout) :: self
    type(mesh), intent(inout) :: cells
    type(gas_law), intent(in) :: law
    real(dp), intent(in) :: zeta, dt
    real(dp) :: w(4), mine, defect
    integer(i1), allocatable :: status(:)
    integer :: i, j, k, cell

    if (.not. allocated(self%n)) then
      allocate (self%n(self%n_species, cells%nx * cells%ny), self%temperature(cells%nx * cells%ny))
      allocate (self%conditions(1, cells%nx * cells%ny))
    end if
    allocate (status(cells%nx * cells%ny))

    cell = 0
    do j = 1, cells%ny
      do i = 1, cells%nx
        cell = cell + 1
        w = law%primitive(cells%u(:, i, j))
        self%n(:, cell) = cells%n(:, i, j)
        self%temperature(cell) = law%temperature(w(rho_), w(pressure_))
      end do
    end do
    self%conditions = zeta

    call self%solver%step(self%n, dt, self%temperature, self%conditions, status=status)

    defect = 0
    cell = 0
    do j = 1, cells%ny
      do i = 1, cells%nx
        cell = cell + 1
        defect = max(defect, largest_defect(self%content, cells%n(:, i, j), self%n(:, cell)))
        cells%n(:, i, j) = self%n(:, cell)
      end do
    end do
    self%status = reshape(status, [cells%nx, cells%ny])
    self%defect = max(self%defect, largest(defect))
    do k = 1, n_figures
      mine = self%solver%report(figure_names(k))
      if (index(figure_names(k), "seconds") == 1) then
        self%figures(k) = self%figures(k) + largest(mine)   ! the others wait
      else
        self%figures(k) = self%figures(k) + total(mine)
      end if
    end do
    call self%seconds_balance%add(self%solver%report("seconds"))
    call self%exact_balance%add(self%solver%report("exact"))
  end subroutine

  ! The status of every cell of the box on rank 0; not allocated before the first step. All ranks must call it.
  subroutine whole_status(self, rows, status)
    class(cell_chemistry), intent(in) :: self
    integer, intent(in) :: rows   ! of the box
    integer(i1), allocatable, intent(out) :: status(:, :)
    if (.not. allocated(self%status)) return
    allocate (status(size(self%status, 1), merge(rows, 0, rank == 0)))
    call gather_rows(self%status, status)
  end subroutine

  ! |sum a (n' - n)| / sum |a| max(n', n), the largest over elements and charge.
  pure function largest_defect(content, before, after) result(defect)
    real(dp), intent(in) :: content(:, :), before(:), after(:)
    real(dp) :: defect, change, amount
    integer :: k
    defect = 0
    do k = 1, size(content, 1)
      change = abs(sum(content(k, :) * (after - before)))
      amount = sum(abs(content(k, :)) * max(after, before))
      if (change > 0) defect = max(defect, change / amount)
    end do
  end function

  ! One of the figures of all steps, by the name of the library's report.
  pure function figure(self, name) result(value)
    class(cell_chemistry), intent(in) :: self
    character(*), intent(in) :: name
    real(dp) :: value
    integer :: k
    value = 0
    do k = 1, n_figures
      if (figure_names(k) == name) value = self%figures(k)
    end do
  end function

  function index_of(self, name) result(index)
    class(cell_chemistry), intent(in) :: self
    character(*), intent(in) :: name
    integer :: index
    index = self%solver%species_index(name)
    if (index == 0) then
      write (error_unit, '(3a)') "chemistry: the model has no species ", name, ", which this code needs"
      error stop "chemistry: choose a model whose network has H2, O, C, C+, CO and e-"
    end if
  end function
end module chemistry
