! pychemsurrogate: the Fortran 2008 interface over the C interface pcs.h. SPDX-License-Identifier: BSD-3-Clause
!
!   use pychemsurrogate, only: chem_solver
!   type(chem_solver) :: chemistry
!   call chemistry%open("osu_09_2008")
!   call chemistry%step(n, dt, temperature, conditions, status=status)
!
! Units are CGS: number densities in cm^-3, temperature in K, times in s, rates in 1/s.
! Errors: every procedure that can fail takes stat= and errmsg= and treats them as ALLOCATE does. stat is 0 on
! success or a negative PCS_E_... code; errmsg is defined only on failure; without stat a failure is ERROR STOP
! with the message. What happened to a single cell is told by its status (PCS_STATUS_...), never by stat.
! Indices of species, conditions and conserved quantities count from 1; 0 means that the name is unknown.
module pychemsurrogate
  use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_double, c_f_pointer, c_int, c_int32_t, &
                                         c_int64_t, c_int8_t, c_intptr_t, c_loc, c_null_char, c_null_ptr, c_ptr, c_size_t
  use, intrinsic :: iso_fortran_env, only: error_unit, int8
  implicit none
  private

  ! What a host uses.
  public :: chem_solver           ! the handle of a model
  public :: chem_abi_version      ! the ABI version of the library in this process
  public :: chem_status_message   ! the advice that belongs to a cell's status

  ! The version of pcs.h that this module speaks; open compares it with the library's.
  integer, parameter, public :: CHEM_ABI_EXPECTED = 3

  ! Errors of a call, as in pcs.h. [generated: errors] by tools/generate_interfaces.py
  ! A handle that is null or not open, a null pointer, a size or stride that cannot be.
  integer, parameter, public :: PCS_E_ARGUMENT = -101
  ! A model file (or compiled kernels) is missing, damaged or foreign.
  integer, parameter, public :: PCS_E_FILE = -102
  ! Unknown option, or a value it does not take.
  integer, parameter, public :: PCS_E_OPTION = -103
  ! Unknown species, condition or report key.
  integer, parameter, public :: PCS_E_NAME = -104
  ! Out of memory, or a batch that no memory holds.
  integer, parameter, public :: PCS_E_MEMORY = -105
  ! A defect of the library, or one of another ABI version.
  integer, parameter, public :: PCS_E_INTERNAL = -106
  ! Another thread is in a call on this handle, or setting an option of it.
  integer, parameter, public :: PCS_E_BUSY = -107
  ! Libpcs_embed: no Python that serves, or an exception in it, with its traceback.
  integer, parameter, public :: PCS_E_PYTHON = -108
  ! No GPU or no libpcs_cuda, a lost GPU, or memory or a stream that is not its own.
  integer, parameter, public :: PCS_E_DEVICE = -109
  ! [end of generated]

  ! The per-cell status codes PCS_STATUS_..., generated from status.def.
  include 'pcs_status.inc'

  ! A model, opened. The handle is owned: it is closed by close, by a second open, and when the variable ceases to
  ! exist. A solver cannot be assigned to another one (two owners would close one handle twice): assignment is
  ! ERROR STOP. Pass it as an argument instead, or open the model again. Many threads may call step on one solver;
  ! set_option, open and close need it alone.
  type :: chem_solver
    private
    type(c_ptr) :: handle = c_null_ptr
  contains
    procedure :: open => solver_open
    procedure :: close => solver_close
    procedure :: is_open => solver_is_open
    generic   :: set_option => set_option_text, set_option_integer, set_option_real, set_option_address
    procedure :: n_species => solver_n_species
    procedure :: species_index => solver_species_index
    procedure :: species_name => solver_species_name
    procedure :: species_mass => solver_species_mass
    procedure :: n_reactions => solver_n_reactions
    procedure :: reaction_equation => solver_reaction_equation
    procedure :: n_conditions => solver_n_conditions
    procedure :: condition_index => solver_condition_index
    procedure :: condition_name => solver_condition_name
    procedure :: n_conserved => solver_n_conserved
    procedure :: conserved_name => solver_conserved_name
    procedure :: composition => solver_composition
    generic   :: step => step_one_dt, step_dt_per_cell
    generic   :: step_at => step_at_one_dt, step_at_dt
    procedure :: equilibrium => solver_equilibrium
    procedure :: trajectory => solver_trajectory
    procedure :: rate_coefficients => solver_rate_coefficients
    procedure :: rhs => solver_rhs
    procedure :: jacobian => solver_jacobian
    procedure :: report => solver_report
    procedure :: costs => solver_costs
    procedure :: cell_statistics => solver_cell_statistics
    procedure :: last_error => solver_last_error
    generic   :: assignment(=) => refuse_copy
    final     :: solver_final
    procedure, private :: set_option_text, set_option_integer, set_option_real, set_option_address
    procedure, private :: step_one_dt, step_dt_per_cell, step_at_one_dt, step_at_dt
    procedure, private :: refuse_copy
  end type chem_solver

  interface
    function pcs_abi_version() bind(c) result(version)
      import :: c_int
      integer(c_int) :: version
    end function
    function pcs_open(model, solver) bind(c) result(code)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: model(*)
      type(c_ptr), intent(out) :: solver
      integer(c_int) :: code
    end function
    function pcs_close(solver) bind(c) result(code)
      import :: c_int, c_ptr
      type(c_ptr), intent(inout) :: solver
      integer(c_int) :: code
    end function
    function pcs_set_option(solver, key, value) bind(c) result(code)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: solver
      character(kind=c_char), intent(in) :: key(*), value(*)
      integer(c_int) :: code
    end function
    function pcs_n_species(solver) bind(c) result(n)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int) :: n
    end function
    function pcs_species_index(solver, name) bind(c) result(index)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: solver
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int) :: index
    end function
    function pcs_species_name(solver, species) bind(c) result(name)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int), value :: species
      type(c_ptr) :: name
    end function
    function pcs_species_mass_g(solver, species, mass_g) bind(c) result(code)
      import :: c_double, c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int), value :: species
      real(c_double), intent(inout) :: mass_g
      integer(c_int) :: code
    end function
    function pcs_n_reactions(solver) bind(c) result(n)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int) :: n
    end function
    function pcs_reaction_equation(solver, reaction) bind(c) result(equation)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int), value :: reaction
      type(c_ptr) :: equation
    end function
    function pcs_n_conditions(solver) bind(c) result(n)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int) :: n
    end function
    function pcs_condition_index(solver, name) bind(c) result(index)
      import :: c_char, c_int, c_ptr
      type(c_ptr), value :: solver
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int) :: index
    end function
    function pcs_condition_name(solver, condition) bind(c) result(name)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int), value :: condition
      type(c_ptr) :: name
    end function
    function pcs_n_conserved(solver) bind(c) result(n)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int) :: n
    end function
    function pcs_conserved_name(solver, quantity) bind(c) result(name)
      import :: c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int), value :: quantity
      type(c_ptr) :: name
    end function
    function pcs_composition(solver, quantity, species, value) bind(c) result(code)
      import :: c_double, c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int), value :: quantity, species
      real(c_double), intent(out) :: value
      integer(c_int) :: code
    end function
    function pcs_step_budget(solver, n_cells, dt_s, dt_stride, n_cm3, cell_stride, species_stride, temperature_k, &
                             temperature_stride, conditions, cond_cell_stride, cond_stride, error_dex, error_stride, &
                             mask, status) bind(c) result(code)
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: solver
      integer(c_int64_t), value :: n_cells, dt_stride, cell_stride, species_stride, temperature_stride
      integer(c_int64_t), value :: cond_cell_stride, cond_stride, error_stride
      type(c_ptr), value :: dt_s, n_cm3, temperature_k, conditions   ! addresses, since they may be a GPU's
      type(c_ptr), value :: error_dex, mask, status                  ! null: not given
      integer(c_int) :: code
    end function
    function pcs_costs(solver, n, costs_us) bind(c) result(code)
      import :: c_double, c_int, c_ptr
      type(c_ptr), value :: solver
      integer(c_int), value :: n
      real(c_double), intent(out) :: costs_us(*)
      integer(c_int) :: code
    end function
    function pcs_equilibrium(solver, n_cells, tolerance, duration_s, n_cm3, cell_stride, species_stride, temperature_k, &
                             temperature_stride, conditions, cond_cell_stride, cond_stride, mask, status) &
        bind(c) result(code)
      import :: c_double, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: solver
      integer(c_int64_t), value :: n_cells, cell_stride, species_stride, temperature_stride
      integer(c_int64_t), value :: cond_cell_stride, cond_stride
      real(c_double), value :: tolerance, duration_s
      real(c_double), intent(in) :: temperature_k(*), conditions(*)
      real(c_double), intent(inout) :: n_cm3(*)
      type(c_ptr), value :: mask, status   ! null: not given
      integer(c_int) :: code
    end function
    function pcs_trajectory(solver, n_cells, n_cm3, cell_stride, species_stride, temperature_k, temperature_stride, &
                            conditions, cond_cell_stride, cond_stride, n_times, times_s, out_cm3, conserve, mask, &
                            status) bind(c) result(code)
      import :: c_double, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: solver
      integer(c_int64_t), value :: n_cells, cell_stride, species_stride, temperature_stride
      integer(c_int64_t), value :: cond_cell_stride, cond_stride, n_times
      real(c_double), intent(in) :: n_cm3(*), temperature_k(*), conditions(*), times_s(*)
      real(c_double), intent(inout) :: out_cm3(*)
      integer(c_int), value :: conserve
      type(c_ptr), value :: mask, status   ! null: not given
      integer(c_int) :: code
    end function
    function pcs_rate_coefficients(solver, n_cells, n_cm3, cell_stride, species_stride, temperature_k, &
        temperature_stride, conditions, cond_cell_stride, cond_stride, k, k_cell_stride, k_reaction_stride, &
        status) bind(c) result(code)
      import :: c_double, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: solver
      integer(c_int64_t), value :: n_cells, cell_stride, species_stride, temperature_stride
      integer(c_int64_t), value :: cond_cell_stride, cond_stride, k_cell_stride, k_reaction_stride
      real(c_double), intent(in) :: temperature_k(*), conditions(*)
      real(c_double), intent(in) :: n_cm3(*)
      real(c_double), intent(inout) :: k(*)
      type(c_ptr), value :: status   ! null: not given
      integer(c_int) :: code
    end function
    function pcs_rhs(solver, n_cells, n_cm3, cell_stride, species_stride, temperature_k, &
        temperature_stride, conditions, cond_cell_stride, cond_stride, dndt, rhs_cell_stride, rhs_species_stride, &
        status) bind(c) result(code)
      import :: c_double, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: solver
      integer(c_int64_t), value :: n_cells, cell_stride, species_stride, temperature_stride
      integer(c_int64_t), value :: cond_cell_stride, cond_stride, rhs_cell_stride, rhs_species_stride
      real(c_double), intent(in) :: temperature_k(*), conditions(*)
      real(c_double), intent(in) :: n_cm3(*)
      real(c_double), intent(inout) :: dndt(*)
      type(c_ptr), value :: status   ! null: not given
      integer(c_int) :: code
    end function
    function pcs_jacobian(solver, n_cells, n_cm3, cell_stride, species_stride, temperature_k, &
        temperature_stride, conditions, cond_cell_stride, cond_stride, jacobian, jac_cell_stride, &
        jac_row_stride, jac_column_stride, status) bind(c) result(code)
      import :: c_double, c_int, c_int64_t, c_ptr
      type(c_ptr), value :: solver
      integer(c_int64_t), value :: n_cells, cell_stride, species_stride, temperature_stride
      integer(c_int64_t), value :: cond_cell_stride, cond_stride, jac_cell_stride, jac_row_stride, jac_column_stride
      real(c_double), intent(in) :: temperature_k(*), conditions(*)
      real(c_double), intent(in) :: n_cm3(*)
      real(c_double), intent(inout) :: jacobian(*)
      type(c_ptr), value :: status   ! null: not given
      integer(c_int) :: code
    end function
    function pcs_cell_statistics(solver, key, n_cells, values) bind(c) result(code)
      import :: c_char, c_int, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: solver
      character(kind=c_char), intent(in) :: key(*)
      integer(c_int64_t), value :: n_cells
      integer(c_int32_t), intent(inout) :: values(*)
      integer(c_int) :: code
    end function
    function pcs_report(solver, key, value) bind(c) result(code)
      import :: c_char, c_double, c_int, c_ptr
      type(c_ptr), value :: solver
      character(kind=c_char), intent(in) :: key(*)
      real(c_double), intent(out) :: value
      integer(c_int) :: code
    end function
    function pcs_last_error(solver) bind(c) result(message)
      import :: c_ptr
      type(c_ptr), value :: solver
      type(c_ptr) :: message
    end function
    function pcs_status_message(status) bind(c) result(message)
      import :: c_int, c_ptr
      integer(c_int), value :: status
      type(c_ptr) :: message
    end function
    function c_strlen(text) bind(c, name="strlen") result(length)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: text
      integer(c_size_t) :: length
    end function
  end interface

contains

  ! ---------------------------------------------------------------- open and close

  ! Open a model: the path of a .pcs file or the name of a shipped model. A solver that is open is closed first.
  ! Errors: PCS_E_FILE; PCS_E_INTERNAL when library and module are of different versions; PCS_E_BUSY while another
  ! thread is in a call on the solver, which then stays open.
  subroutine solver_open(self, model, stat, errmsg)
    class(chem_solver), intent(inout) :: self
    character(*), intent(in) :: model
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    integer(c_int) :: code
    integer :: status
    character(:), allocatable :: message

    if (c_associated(self%handle)) then
      call self%close(status, errmsg)
      if (status /= 0) then
        call settle(status, self%last_error(), stat, errmsg)
        return
      end if
    end if
    message = ""
    if (pcs_abi_version() /= CHEM_ABI_EXPECTED) then
      code = PCS_E_INTERNAL
      message = "open: libpcs has ABI version " // decimal(int(pcs_abi_version())) // ", this module was written for " // &
                decimal(CHEM_ABI_EXPECTED) // ": compile the pychemsurrogate.f90 that came with the library"
    else
      code = pcs_open(trim(model) // c_null_char, self%handle)
      if (code /= 0) message = text_of(pcs_last_error(c_null_ptr))
    end if
    call settle(int(code), message, stat, errmsg)
  end subroutine

  ! Close the model. Closing twice, or closing what was never opened, does nothing.
  ! Error: PCS_E_BUSY while another thread is in a call on the solver, which then stays open.
  subroutine solver_close(self, stat, errmsg)
    class(chem_solver), intent(inout) :: self
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    integer(c_int) :: code

    code = 0
    if (c_associated(self%handle)) code = pcs_close(self%handle)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! Elemental, so that arrays of solvers are closed too. A handle that another thread is using is left open: nothing
  ! could be told here.
  impure elemental subroutine solver_final(self)
    type(chem_solver), intent(inout) :: self
    integer :: stat
    call self%close(stat)
  end subroutine

  ! Whether a model is open.
  pure function solver_is_open(self) result(is_open)
    class(chem_solver), intent(in) :: self
    logical :: is_open
    is_open = c_associated(self%handle)
  end function

  ! Two owners would close one handle twice.
  subroutine refuse_copy(self, other)
    class(chem_solver), intent(inout) :: self
    class(chem_solver), intent(in) :: other
    if (c_associated(self%handle) .or. c_associated(other%handle)) then
      error stop "pychemsurrogate: a chem_solver cannot be assigned: pass it as an argument, or open the model again"
    end if
  end subroutine

  ! Set an option by name. Errors: PCS_E_OPTION for an unknown name or a value that it does not take; PCS_E_BUSY while
  ! another thread is in a call on the solver; PCS_E_ARGUMENT. All options are then as before.
  ! [generated: options] by tools/generate_interfaces.py
  !   mode (auto, surrogate, exact; default auto): which path serves a cell; a model that holds a network alone is exact
  !   path (a learned path of the model, or empty: all of them; default empty): the one learned path that may serve, of
  !     a model that names several. Mode surrogate, and a trajectory, use the last, which is the most accurate
  !   integrator (native, host; default native): host: cells of the exact path keep their input and a status of 10 or
  !     above, for the host to solve
  !   units (number_density, hydrogen_fraction, mass_fraction; default number_density): what the abundances of every
  !     call are: n [cm^-3]; n/n_H, with a last condition more, n_H [cm^-3]; or shares of the mass, with a last
  !     condition more, rho [g cm^-3]
  !   target_error_dex (1e-6 to 1; default 0.1): of 100 cells one may err by more in its worst species (default in mode
  !     auto). It picks rtol and atol unless these are given (mode exact takes either), and the gate's thresholds; below
  !     what the model is calibrated for, all cells are exact
  !   rtol (1e-12 to 0.1; default 1e-2): relative tolerance of the exact integrator (default in mode exact)
  !   atol (1e-30 to 1e-3; default 1e-15): its absolute tolerance, in n / n_H (default in mode exact)
  !   error_budget_dex (0 to 100; default target_error_dex): what a cell of pcs_step_budget may carry
  !   exact_every (0 to 1e15; default 100): without such a budget one of so many cells takes the exact path, chosen by
  !     the bits of its own input; 0: none
  !   audit (0 to 1; default 0.001): share of the trusted cells that are solved exactly and compared; bins of conditions
  !     in which too many are wrong are tightened, then closed
  !   costs (model, measure, or numbers of microseconds: cell,step,eviction,learned (of several paths a last one for
  !     each); default model): what pcs_costs tells. model: those of the model file, so that the choice of path, hence
  !     every bit, is the same on all ranks; where the file has none, on a GPU, and with measure they are measured at
  !     the first step
  !   max_steps (1 to 1e9; default 2000): steps per cell before status -2
  !   threads (0 to 4096; default 0): number of threads, 0: OpenMP's own choice; at most 256 or four a processor, no
  !     more than the process can start, and one in a forked child of a process that had threads
  !   repair (none; floor; electrons; floor,electrons; default none): floor sets small negatives to 0, electrons makes
  !     e- neutralise the cell
  !   kernels (auto, tables, compiled; default auto): auto: straight-line code if the library has it for this network
  !     (the shipped one), else tables; compiled: straight-line code, which `pychemsurrogate model compile MODEL` has
  !     put into the user's cache: it is loaded here, never compiled, and PCS_E_FILE if it is missing or could be
  !     another user's
  !   statistics (off, on; default off): count for pcs_cell_statistics
  !   species (the host's species in order, comma-separated; default empty): refused unless they are the model's
  !   engine (native, torch; default native): torch: the surrogate by PyTorch; libpcs_embed alone has it, which serves
  !     integrator=scipy as well (docs/hosts/embed.md)
  !   device (cpu, cuda or cuda:k; default cpu): where steps and trajectories are worked out: cuda is a GPU, by
  !     libpcs_cuda, which is loaded then (docs/hosts/gpu.md). With engine torch, which libpcs_embed alone has, any
  !     device of PyTorch (default there, off the cpu)
  !   memory (host, device; default host): where the arrays of a call are, with device cuda. device: all in the GPU's
  !     memory, and nothing is waited for; an argument that is one value for all cells may be the host's, and times are.
  !     host: they are copied there and back
  !   stream (an address, decimal or after 0x; default 0): the CUDA stream of the calls with device cuda (a cudaStream_t
  !     as an integer); 0: the default stream
  ! [end of generated]
  subroutine set_option_text(self, key, value, stat, errmsg)
    class(chem_solver), intent(inout) :: self
    character(*), intent(in) :: key, value
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    integer(c_int) :: code

    if (.not. opened(self, "set_option", stat, errmsg)) return
    code = pcs_set_option(self%handle, trim(key) // c_null_char, trim(value) // c_null_char)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! The same with a number.
  subroutine set_option_integer(self, key, value, stat, errmsg)
    class(chem_solver), intent(inout) :: self
    character(*), intent(in) :: key
    integer, intent(in) :: value
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call self%set_option_text(key, decimal(value), stat, errmsg)
  end subroutine

  ! The same with a number; all its digits count.
  subroutine set_option_real(self, key, value, stat, errmsg)
    class(chem_solver), intent(inout) :: self
    character(*), intent(in) :: key
    real(c_double), intent(in) :: value
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    character(32) :: text
    write (text, '(es25.17e3)') value
    call self%set_option_text(key, adjustl(text), stat, errmsg)
  end subroutine

  ! The same with an address, such as that of a CUDA stream.
  subroutine set_option_address(self, key, value, stat, errmsg)
    class(chem_solver), intent(inout) :: self
    character(*), intent(in) :: key
    type(c_ptr), intent(in) :: value
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    character(32) :: text
    write (text, '(i0)') transfer(value, 0_c_intptr_t)
    call self%set_option_text(key, trim(text), stat, errmsg)
  end subroutine

  ! ---------------------------------------------------------------- names

  ! The number of species; 0 for a solver that is not open.
  integer function solver_n_species(self) result(n)
    class(chem_solver), intent(in) :: self
    n = max(0, int(pcs_n_species(self%handle)))
  end function

  ! The place of a species in n(species, cell), from 1; 0 if the model does not know it.
  integer function solver_species_index(self, name) result(index)
    class(chem_solver), intent(in) :: self
    character(*), intent(in) :: name
    index = max(0, int(pcs_species_index(self%handle, trim(name) // c_null_char)) + 1)
  end function

  ! The name of a species; "" if there is none of that number.
  function solver_species_name(self, species) result(name)
    class(chem_solver), intent(in) :: self
    integer, intent(in) :: species
    character(:), allocatable :: name
    name = text_of(pcs_species_name(self%handle, int(species - 1, c_int)))
  end function

  ! The mass of one particle [g], the electrons of its charge counted. Errors: PCS_E_ARGUMENT for a number that is out of
  ! range, PCS_E_FILE if the model does not say (the value is then 0).
  function solver_species_mass(self, species, stat, errmsg) result(mass)
    class(chem_solver), intent(in) :: self
    integer, intent(in) :: species
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double) :: mass
    integer(c_int) :: code

    mass = 0
    if (.not. opened(self, "species_mass", stat, errmsg)) return
    code = pcs_species_mass_g(self%handle, int(species - 1, c_int), mass)
    call settle_library(self, code, stat, errmsg)
  end function

  ! The number of reactions; 0 for a solver that is not open.
  integer function solver_n_reactions(self) result(n)
    class(chem_solver), intent(in) :: self
    n = max(0, int(pcs_n_reactions(self%handle)))
  end function

  ! "C+ + e- -> C"; "" if there is no reaction of that number.
  function solver_reaction_equation(self, reaction) result(equation)
    class(chem_solver), intent(in) :: self
    integer, intent(in) :: reaction
    character(:), allocatable :: equation
    equation = text_of(pcs_reaction_equation(self%handle, int(reaction - 1, c_int)))
  end function

  ! The number of conditions beside the temperature, the one that the option units adds (the last) counted; 0 for a
  ! solver that is not open.
  integer function solver_n_conditions(self) result(n)
    class(chem_solver), intent(in) :: self
    n = max(0, int(pcs_n_conditions(self%handle)))
  end function

  ! The place of a condition in conditions(condition, cell), from 1; 0 if the network does not read it.
  integer function solver_condition_index(self, name) result(index)
    class(chem_solver), intent(in) :: self
    character(*), intent(in) :: name
    index = max(0, int(pcs_condition_index(self%handle, trim(name) // c_null_char)) + 1)
  end function

  ! The name of a condition; "" if there is none of that number.
  function solver_condition_name(self, condition) result(name)
    class(chem_solver), intent(in) :: self
    integer, intent(in) :: condition
    character(:), allocatable :: name
    name = text_of(pcs_condition_name(self%handle, int(condition - 1, c_int)))
  end function

  ! The number of conserved quantities: the elements, then charge; 0 for a solver that is not open.
  integer function solver_n_conserved(self) result(n)
    class(chem_solver), intent(in) :: self
    n = max(0, int(pcs_n_conserved(self%handle)))
  end function

  ! The name of a conserved quantity: an element or "charge"; "" if there is none of that number.
  function solver_conserved_name(self, quantity) result(name)
    class(chem_solver), intent(in) :: self
    integer, intent(in) :: quantity
    character(:), allocatable :: name
    name = text_of(pcs_conserved_name(self%handle, int(quantity - 1, c_int)))
  end function

  ! How much of a conserved quantity one particle of a species holds: nuclei, or elementary charges.
  ! Error: PCS_E_NAME or PCS_E_ARGUMENT for a number that is out of range (the value is then 0).
  function solver_composition(self, quantity, species, stat, errmsg) result(value)
    class(chem_solver), intent(in) :: self
    integer, intent(in) :: quantity, species
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double) :: value
    integer(c_int) :: code

    value = 0
    if (.not. opened(self, "composition", stat, errmsg)) return
    code = pcs_composition(self%handle, int(quantity - 1, c_int), int(species - 1, c_int), value)
    if (code /= 0) value = 0
    call settle_library(self, code, stat, errmsg)
  end function

  ! ---------------------------------------------------------------- the step

  ! Advance all cells by the same dt [s], in place. A failed cell keeps its input bit for bit.
  !   n(species, cell)             [cm^-3]  in, out
  !   temperature(cell)            [K]      in (in, out once networks have thermal terms)
  !   conditions(condition, cell)           in, in the order of condition_index; with the option units one more, the
  !                                         last: n_H [cm^-3] (n holds n/n_H) or rho [g cm^-3] (n holds mass fractions)
  !   mask(cell)                            0: leave this cell alone; absent: all cells are advanced
  !   status(cell)                          PCS_STATUS_... of each cell
  !   error_dex(cell)              [dex]    in, out: the error that each cell carries, 0 at first; a cell whose budget
  !                                         (option error_budget_dex) would be spent is solved exactly
  ! Errors: PCS_E_ARGUMENT for a solver that is not open and for extents that do not agree; nothing is changed then.
  subroutine step_one_dt(self, n, dt, temperature, conditions, mask, status, stat, errmsg, error_dex)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(inout), contiguous :: n(:, :)
    real(c_double), intent(in) :: dt
    real(c_double), intent(inout), contiguous :: temperature(:)
    real(c_double), intent(in), contiguous :: conditions(:, :)
    integer(c_int8_t), intent(in), contiguous, optional :: mask(:)
    integer(c_int8_t), intent(inout), contiguous, optional :: status(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double), intent(inout), contiguous, optional :: error_dex(:)
    call advance(self, n, [dt], 0_c_int64_t, temperature, conditions, mask, status, stat, errmsg, error_dex)
  end subroutine

  ! The same with a dt for each cell: dt(cell) [s].
  subroutine step_dt_per_cell(self, n, dt, temperature, conditions, mask, status, stat, errmsg, error_dex)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(inout), contiguous :: n(:, :)
    real(c_double), intent(in), contiguous :: dt(:)
    real(c_double), intent(inout), contiguous :: temperature(:)
    real(c_double), intent(in), contiguous :: conditions(:, :)
    integer(c_int8_t), intent(in), contiguous, optional :: mask(:)
    integer(c_int8_t), intent(inout), contiguous, optional :: status(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double), intent(inout), contiguous, optional :: error_dex(:)
    call advance(self, n, dt, 1_c_int64_t, temperature, conditions, mask, status, stat, errmsg, error_dex)
  end subroutine

  subroutine advance(self, n, dt, dt_stride, temperature, conditions, mask, status, stat, errmsg, error_dex)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(inout), contiguous, target :: n(:, :), temperature(:)
    real(c_double), intent(in), contiguous, target :: dt(:), conditions(:, :)
    integer(c_int64_t), intent(in) :: dt_stride
    integer(c_int8_t), intent(in), contiguous, optional, target :: mask(:)
    integer(c_int8_t), intent(inout), contiguous, optional, target :: status(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double), intent(inout), contiguous, optional, target :: error_dex(:)
    type(c_ptr) :: dt_address, n_address, temperature_address, conditions_address
    type(c_ptr) :: mask_address, status_address, error_address
    integer(c_int64_t) :: cells
    integer(c_int) :: code
    character(:), allocatable :: complaint

    if (.not. opened(self, "step", stat, errmsg)) return
    complaint = shape_complaint(self, "step", n, temperature, conditions, mask, status)
    if (dt_stride /= 0 .and. size(dt) /= size(n, 2) .and. complaint == "") then
      complaint = "step: the extent of dt is " // decimal(size(dt)) // ", it must be " // decimal(size(n, 2))
    end if
    if (present(error_dex) .and. complaint == "") then
      if (size(error_dex) /= size(n, 2)) complaint = "step: the extent of error_dex is " // &
                                                     decimal(size(error_dex)) // ", it must be " // decimal(size(n, 2))
    end if
    if (complaint /= "") then
      call settle(PCS_E_ARGUMENT, complaint, stat, errmsg)
      return
    end if

    cells = size(n, 2, kind=c_int64_t)
    call addresses(cells, mask, status, mask_address, status_address)
    dt_address = c_null_ptr   ! as c_loc is not for arrays of size zero
    n_address = c_null_ptr
    temperature_address = c_null_ptr
    conditions_address = c_null_ptr
    error_address = c_null_ptr
    if (size(dt) > 0) dt_address = c_loc(dt)
    if (size(n) > 0) n_address = c_loc(n)
    if (size(temperature) > 0) temperature_address = c_loc(temperature)
    if (size(conditions) > 0) conditions_address = c_loc(conditions)
    if (present(error_dex)) then
      if (size(error_dex) > 0) error_address = c_loc(error_dex)
    end if
    code = pcs_step_budget(self%handle, cells, dt_address, dt_stride, n_address, size(n, 1, kind=c_int64_t), 1_c_int64_t, &
                           temperature_address, 1_c_int64_t, conditions_address, size(conditions, 1, kind=c_int64_t), &
                           1_c_int64_t, error_address, 1_c_int64_t, mask_address, status_address)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! The same for arrays of any strides and for arrays in a GPU's memory: step with addresses (c_loc, c_devptr, or what
  ! host_data use_device gives to c_loc) in the place of arrays. Nothing is checked but what pcs_step checks.
  !   cells                        how many
  !   n, cell_stride, species_stride         species s of cell c is at (c - 1) * cell_stride + (s - 1) * species_stride
  !                                          [doubles] behind n
  !   temperature, conditions                their strides, if absent: temperature(cell), conditions(condition, cell);
  !                                          a stride of 0 from cell to cell is one value for all
  !   mask, status, error_dex                absent or c_null_ptr: none; error_stride absent: 1
  ! With the options device=cuda and memory=device the addresses are the GPU's, the call returns before the work is done,
  ! and a single value for all cells (dt here) may lie in the host's memory. Errors: also PCS_E_DEVICE.
  subroutine step_at_one_dt(self, cells, dt, n, cell_stride, species_stride, temperature, conditions, &
                            temperature_stride, condition_cell_stride, condition_stride, mask, status, stat, errmsg, &
                            error_dex, error_stride)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(in) :: dt
    integer(c_int64_t), intent(in) :: cells, cell_stride, species_stride
    type(c_ptr), intent(in) :: n, temperature, conditions
    integer(c_int64_t), intent(in), optional :: temperature_stride, condition_cell_stride, condition_stride, error_stride
    type(c_ptr), intent(in), optional :: mask, status, error_dex
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double), target :: one_dt
    one_dt = dt
    call step_at_dt(self, cells, c_loc(one_dt), 0_c_int64_t, n, cell_stride, species_stride, temperature, conditions, &
                    temperature_stride, condition_cell_stride, condition_stride, mask, status, stat, errmsg, error_dex, &
                    error_stride)
  end subroutine

  ! The same with the address of dt, and its stride from cell to cell (0: one value).
  subroutine step_at_dt(self, cells, dt, dt_stride, n, cell_stride, species_stride, temperature, conditions, &
                        temperature_stride, condition_cell_stride, condition_stride, mask, status, stat, errmsg, &
                        error_dex, error_stride)
    class(chem_solver), intent(in) :: self
    integer(c_int64_t), intent(in) :: cells, dt_stride, cell_stride, species_stride
    type(c_ptr), intent(in) :: dt, n, temperature, conditions
    integer(c_int64_t), intent(in), optional :: temperature_stride, condition_cell_stride, condition_stride, error_stride
    type(c_ptr), intent(in), optional :: mask, status, error_dex
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    integer(c_int64_t) :: a_cell, a_condition, a_temperature, an_error
    type(c_ptr) :: mask_address, status_address, error_address
    integer(c_int) :: code

    if (.not. opened(self, "step_at", stat, errmsg)) return
    a_temperature = 1
    a_cell = self%n_conditions()
    a_condition = 1
    an_error = 1
    if (present(temperature_stride)) a_temperature = temperature_stride
    if (present(condition_cell_stride)) a_cell = condition_cell_stride
    if (present(condition_stride)) a_condition = condition_stride
    if (present(error_stride)) an_error = error_stride
    mask_address = c_null_ptr
    status_address = c_null_ptr
    error_address = c_null_ptr
    if (present(mask)) mask_address = mask
    if (present(status)) status_address = status
    if (present(error_dex)) error_address = error_dex
    code = pcs_step_budget(self%handle, cells, dt, dt_stride, n, cell_stride, species_stride, temperature, &
                           a_temperature, conditions, a_cell, a_condition, error_address, an_error, mask_address, &
                           status_address)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! Bring every cell to the equilibrium that it would reach in time, in place: no species above atol changes by more than
  ! tolerance (1e-10 to 0.1; absent: 1e-4) of itself over duration [s] (absent: 1e17). A cell that still changes after 30
  ! such durations keeps its input and has PCS_STATUS_NO_EQUILIBRIUM. The other arguments and the errors: see step.
  subroutine solver_equilibrium(self, n, temperature, conditions, tolerance, duration, mask, status, stat, errmsg)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(inout), contiguous :: n(:, :)
    real(c_double), intent(in), contiguous :: temperature(:)
    real(c_double), intent(in), contiguous :: conditions(:, :)
    real(c_double), intent(in), optional :: tolerance, duration
    integer(c_int8_t), intent(in), contiguous, optional, target :: mask(:)
    integer(c_int8_t), intent(inout), contiguous, optional, target :: status(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(c_ptr) :: mask_address, status_address
    real(c_double) :: largest_change, time
    integer(c_int64_t) :: cells
    integer(c_int) :: code
    character(:), allocatable :: complaint

    if (.not. opened(self, "equilibrium", stat, errmsg)) return
    complaint = shape_complaint(self, "equilibrium", n, temperature, conditions, mask, status)
    if (complaint /= "") then
      call settle(PCS_E_ARGUMENT, complaint, stat, errmsg)
      return
    end if
    largest_change = 1.0e-4_c_double
    time = 1.0e17_c_double
    if (present(tolerance)) largest_change = tolerance
    if (present(duration)) time = duration
    cells = size(n, 2, kind=c_int64_t)
    call addresses(cells, mask, status, mask_address, status_address)
    code = pcs_equilibrium(self%handle, cells, largest_change, time, n, size(n, 1, kind=c_int64_t), 1_c_int64_t, &
                           temperature, 1_c_int64_t, conditions, size(conditions, 1, kind=c_int64_t), 1_c_int64_t, &
                           mask_address, status_address)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! The state of every cell at every time, counted from the given state, which stays as it is.
  !   times(time)                         [s]      ascending, from 0 to 1e20, the same for all cells
  !   states(species, time, cell)         [cm^-3]  out; the given state where a pair cannot be served
  !   conserve                                     .false.: mode surrogate leaves out the projection; absent: .true.
  !   status(time, cell)                           PCS_STATUS_... of each pair
  ! The surrogate encodes a cell once; the exact integrator goes from time to time. report counts (cell, time) pairs.
  ! The other arguments and the errors: see step.
  subroutine solver_trajectory(self, n, times, temperature, conditions, states, conserve, status, stat, errmsg)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(in), contiguous :: n(:, :)
    real(c_double), intent(in), contiguous :: times(:)
    real(c_double), intent(in), contiguous :: temperature(:)
    real(c_double), intent(in), contiguous :: conditions(:, :)
    real(c_double), intent(inout), contiguous :: states(:, :, :)
    logical, intent(in), optional :: conserve
    integer(c_int8_t), intent(inout), contiguous, optional, target :: status(:, :)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(c_ptr) :: status_address
    integer(c_int) :: code, project
    character(:), allocatable :: complaint

    if (.not. opened(self, "trajectory", stat, errmsg)) return
    complaint = shape_complaint(self, "trajectory", n, temperature, conditions)
    if (complaint == "" .and. any(shape(states) /= [size(n, 1), size(times), size(n, 2)])) then
      complaint = "trajectory: states must have the shape (species, time, cell)"
    end if
    if (present(status) .and. complaint == "") then
      if (any(shape(status) /= [size(times), size(n, 2)])) complaint = "trajectory: status must have the shape (time, cell)"
    end if
    if (complaint /= "") then
      call settle(PCS_E_ARGUMENT, complaint, stat, errmsg)
      return
    end if
    project = 1
    if (present(conserve)) project = merge(1_c_int, 0_c_int, conserve)
    status_address = c_null_ptr
    if (present(status)) then
      if (size(status) > 0) status_address = c_loc(status)
    end if
    code = pcs_trajectory(self%handle, size(n, 2, kind=c_int64_t), n, size(n, 1, kind=c_int64_t), 1_c_int64_t, &
                          temperature, 1_c_int64_t, conditions, size(conditions, 1, kind=c_int64_t), 1_c_int64_t, &
                          size(times, kind=c_int64_t), times, states, project, c_null_ptr, status_address)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! Rate coefficients of every cell, for hosts that look at the chemistry or integrate it themselves; nothing is advanced.
  !   k(reaction, cell)            [cm^(3(m-1))/s for m reactants]  out; of a cell that fails NaN
  !   status(cell)                 PCS_STATUS_UNCHANGED, or below 0
  ! n may have any finite values. The other arguments and the errors: see step.
  subroutine solver_rate_coefficients(self, n, temperature, conditions, k, status, stat, errmsg)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(in), contiguous :: n(:, :)
    real(c_double), intent(in), contiguous :: temperature(:)
    real(c_double), intent(in), contiguous :: conditions(:, :)
    real(c_double), intent(inout), contiguous :: k(:, :)
    integer(c_int8_t), intent(inout), contiguous, optional, target :: status(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(c_ptr) :: none, status_address
    integer(c_int64_t) :: cells
    integer(c_int) :: code
    character(:), allocatable :: complaint

    if (.not. opened(self, "rate_coefficients", stat, errmsg)) return
    complaint = shape_complaint(self, "rate_coefficients", n, temperature, conditions, status=status)
    if (complaint == "" .and. any(shape(k) /= [self%n_reactions(), size(n, 2)])) then
      complaint = "rate_coefficients: k must have the shape (reaction, cell)"
    end if
    if (complaint /= "") then
      call settle(PCS_E_ARGUMENT, complaint, stat, errmsg)
      return
    end if
    cells = size(n, 2, kind=c_int64_t)
    call addresses(cells, status=status, mask_address=none, status_address=status_address)
    code = pcs_rate_coefficients(self%handle, cells, n, size(n, 1, kind=c_int64_t), 1_c_int64_t, temperature, &
                                 1_c_int64_t, conditions, size(conditions, 1, kind=c_int64_t), 1_c_int64_t, k, &
                                 size(k, 1, kind=c_int64_t), 1_c_int64_t, status_address)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! dn/dt of every species: dndt(species, cell) [cm^-3/s], out. All else: see rate_coefficients.
  subroutine solver_rhs(self, n, temperature, conditions, dndt, status, stat, errmsg)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(in), contiguous :: n(:, :)
    real(c_double), intent(in), contiguous :: temperature(:)
    real(c_double), intent(in), contiguous :: conditions(:, :)
    real(c_double), intent(inout), contiguous :: dndt(:, :)
    integer(c_int8_t), intent(inout), contiguous, optional, target :: status(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(c_ptr) :: none, status_address
    integer(c_int64_t) :: cells
    integer(c_int) :: code
    character(:), allocatable :: complaint

    if (.not. opened(self, "rhs", stat, errmsg)) return
    complaint = shape_complaint(self, "rhs", n, temperature, conditions, status=status)
    if (complaint == "" .and. any(shape(dndt) /= shape(n))) then
      complaint = "rhs: dndt must have the shape (species, cell)"
    end if
    if (complaint /= "") then
      call settle(PCS_E_ARGUMENT, complaint, stat, errmsg)
      return
    end if
    cells = size(n, 2, kind=c_int64_t)
    call addresses(cells, status=status, mask_address=none, status_address=status_address)
    code = pcs_rhs(self%handle, cells, n, size(n, 1, kind=c_int64_t), 1_c_int64_t, temperature, 1_c_int64_t, conditions, &
                   size(conditions, 1, kind=c_int64_t), 1_c_int64_t, dndt, size(dndt, 1, kind=c_int64_t), 1_c_int64_t, &
                   status_address)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! The analytic Jacobian of rhs: jacobian(species, of, cell) [1/s], out: how dn/dt of a species changes with n of
  ! another. Where a rate reads n_H, that is held fixed. All else: see rate_coefficients.
  subroutine solver_jacobian(self, n, temperature, conditions, jacobian, status, stat, errmsg)
    class(chem_solver), intent(in) :: self
    real(c_double), intent(in), contiguous :: n(:, :)
    real(c_double), intent(in), contiguous :: temperature(:)
    real(c_double), intent(in), contiguous :: conditions(:, :)
    real(c_double), intent(inout), contiguous :: jacobian(:, :, :)
    integer(c_int8_t), intent(inout), contiguous, optional, target :: status(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(c_ptr) :: none, status_address
    integer(c_int64_t) :: cells, species
    integer(c_int) :: code
    character(:), allocatable :: complaint

    if (.not. opened(self, "jacobian", stat, errmsg)) return
    complaint = shape_complaint(self, "jacobian", n, temperature, conditions, status=status)
    if (complaint == "" .and. any(shape(jacobian) /= [size(n, 1), size(n, 1), size(n, 2)])) then
      complaint = "jacobian: jacobian must have the shape (species, species, cell)"
    end if
    if (complaint /= "") then
      call settle(PCS_E_ARGUMENT, complaint, stat, errmsg)
      return
    end if
    cells = size(n, 2, kind=c_int64_t)
    species = size(n, 1, kind=c_int64_t)
    call addresses(cells, status=status, mask_address=none, status_address=status_address)
    code = pcs_jacobian(self%handle, cells, n, species, 1_c_int64_t, temperature, 1_c_int64_t, conditions, &
                        size(conditions, 1, kind=c_int64_t), 1_c_int64_t, jacobian, species * species, 1_c_int64_t, &
                        species, status_address)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! What is wrong with the shapes of a call; "" if nothing is.
  function shape_complaint(self, caller, n, temperature, conditions, mask, status) result(complaint)
    class(chem_solver), intent(in) :: self
    character(*), intent(in) :: caller
    real(c_double), intent(in) :: n(:, :), temperature(:), conditions(:, :)
    integer(c_int8_t), intent(in), optional :: mask(:), status(:)
    character(:), allocatable :: complaint

    complaint = ""
    call require("n's first extent (species)", size(n, 1), self%n_species())
    call require("the extent of temperature", size(temperature), size(n, 2))
    call require("conditions' first extent (condition)", size(conditions, 1), self%n_conditions())
    call require("conditions' second extent (cell)", size(conditions, 2), size(n, 2))
    if (present(mask)) call require("the extent of mask", size(mask), size(n, 2))
    if (present(status)) call require("the extent of status", size(status), size(n, 2))

  contains

    subroutine require(what, found, wanted)
      character(*), intent(in) :: what
      integer, intent(in) :: found, wanted
      if (found /= wanted .and. complaint == "") then
        complaint = caller // ": " // what // " is " // decimal(found) // ", it must be " // decimal(wanted) // &
                    "; the shapes are n(species, cell), temperature(cell), conditions(condition, cell)"
      end if
    end subroutine
  end function

  ! The addresses of the optional arrays; null for those that are absent or empty.
  subroutine addresses(cells, mask, status, mask_address, status_address)
    integer(c_int64_t), intent(in) :: cells
    integer(c_int8_t), intent(in), contiguous, optional, target :: mask(:)
    integer(c_int8_t), intent(in), contiguous, optional, target :: status(:)
    type(c_ptr), intent(out) :: mask_address, status_address

    mask_address = c_null_ptr
    status_address = c_null_ptr
    if (present(mask) .and. cells > 0) mask_address = c_loc(mask)
    if (present(status) .and. cells > 0) status_address = c_loc(status)
  end subroutine

  ! ---------------------------------------------------------------- what happened

  ! A figure of the calling thread's last step on this solver, by name; pcs.h lists the keys. Errors: PCS_E_NAME, PCS_E_ARGUMENT
  ! (the value is then 0).
  function solver_report(self, key, stat, errmsg) result(value)
    class(chem_solver), intent(in) :: self
    character(*), intent(in) :: key
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double) :: value
    integer(c_int) :: code

    value = 0
    if (.not. opened(self, "report", stat, errmsg)) return
    code = pcs_report(self%handle, trim(key) // c_null_char, value)
    if (code /= 0) value = 0
    call settle_library(self, code, stat, errmsg)
  end function

  ! What a cell costs on this machine [us]: a cell that is integrated, without its steps; a step; a cell that the
  ! integrator begins and hands to the surrogate; then the surrogate, of each learned path of the model. Errors:
  ! PCS_E_OPTION where nothing is routed (there are no values then).
  function solver_costs(self, stat, errmsg) result(costs_us)
    class(chem_solver), intent(in) :: self
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    real(c_double), allocatable :: costs_us(:)
    integer(c_int) :: code

    allocate(costs_us(0))
    if (.not. opened(self, "costs", stat, errmsg)) return
    code = pcs_costs(self%handle, 0_c_int, costs_us)
    if (code > 0) then
      deallocate(costs_us)
      allocate(costs_us(code))
      code = pcs_costs(self%handle, code, costs_us)
    end if
    call settle_library(self, min(code, 0_c_int), stat, errmsg)
  end function

  ! Counts of every cell in the calling thread's last step or equilibrium, if the option statistics was "on": key is
  ! "steps", "rejected_steps" or "factorisations" of the exact integrator. Errors: PCS_E_NAME; PCS_E_ARGUMENT if the last
  ! call had another number of cells, or the option was off.
  subroutine solver_cell_statistics(self, key, values, stat, errmsg)
    class(chem_solver), intent(in) :: self
    character(*), intent(in) :: key
    integer(c_int32_t), intent(inout), contiguous :: values(:)
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    integer(c_int) :: code

    if (.not. opened(self, "cell_statistics", stat, errmsg)) return
    code = pcs_cell_statistics(self%handle, trim(key) // c_null_char, size(values, kind=c_int64_t), values)
    call settle_library(self, code, stat, errmsg)
  end subroutine

  ! What the calling thread's last failed call of the library on this solver says; "" if none failed. Of a solver that is
  ! not open: what the thread's last failed open says.
  function solver_last_error(self) result(message)
    class(chem_solver), intent(in) :: self
    character(:), allocatable :: message
    message = text_of(pcs_last_error(self%handle))
  end function

  ! What a cell's status means and, where it is a failure, what to do.
  function chem_status_message(status) result(message)
    integer(int8), intent(in) :: status
    character(:), allocatable :: message
    message = text_of(pcs_status_message(int(status, c_int)))
  end function

  ! The version of pcs.h that the library in this process speaks; this module speaks CHEM_ABI_EXPECTED.
  integer function chem_abi_version() result(version)
    version = int(pcs_abi_version())
  end function

  ! ---------------------------------------------------------------- helpers

  ! True for a solver that is open; otherwise the error is told and the caller returns.
  function opened(self, caller, stat, errmsg)
    class(chem_solver), intent(in) :: self
    character(*), intent(in) :: caller
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    logical :: opened

    opened = c_associated(self%handle)
    if (.not. opened) call settle(PCS_E_ARGUMENT, caller // ": the solver is not open: call open first", stat, errmsg)
  end function

  subroutine settle_library(self, code, stat, errmsg)
    class(chem_solver), intent(in) :: self
    integer(c_int), intent(in) :: code
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    if (code == 0) then
      if (present(stat)) stat = 0
    else
      call settle(int(code), self%last_error(), stat, errmsg)
    end if
  end subroutine

  ! Hand an outcome to the caller as ALLOCATE does.
  subroutine settle(code, message, stat, errmsg)
    integer, intent(in) :: code
    character(*), intent(in) :: message
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg

    if (present(stat)) stat = code
    if (code == 0) return
    if (present(errmsg)) errmsg = message
    if (.not. present(stat)) then
      write (error_unit, '(2a)') "pychemsurrogate: ", message   ! a stop code must be a constant in Fortran 2008
      error stop 1
    end if
  end subroutine

  ! A C string as a Fortran one; "" for a null pointer.
  function text_of(address) result(text)
    type(c_ptr), intent(in) :: address
    character(:), allocatable :: text
    character(kind=c_char), pointer :: letters(:)
    integer :: i, length

    length = 0
    if (c_associated(address)) length = int(c_strlen(address))
    allocate (character(length) :: text)
    if (length == 0) return
    call c_f_pointer(address, letters, [length])
    do i = 1, length
      text(i:i) = letters(i)
    end do
  end function

  pure function decimal(number) result(text)
    integer, intent(in) :: number
    character(:), allocatable :: text
    character(16) :: buffer
    write (buffer, '(i0)') number
    text = trim(buffer)
  end function

end module pychemsurrogate
