! The run: hydrodynamics and chemistry take turns (operator splitting, first order in time).
module simulation
  use case_file, only: case_setup, read_case
  use chemistry, only: cell_chemistry
  use composition, only: composition_table
  use constants, only: dp, i1, kiloyear, parsec
  use gas, only: gas_law
  use grid, only: mesh, whole_box
  use hydro, only: hydro_step, stable_time_step
  use output, only: make_folder, write_snapshot
  use parallel, only: rank, ranks
  use problems, only: flow_problem
  use summary, only: stopwatch, write_summary
  implicit none
  private
  public :: simulate

contains

  ! Run the case of the file. model "": without chemistry. folder: the output; compare: another run's output, or "".
  subroutine simulate(case_path, model, mode, folder, compare)
    character(*), intent(in) :: case_path, model, mode, folder, compare
    type(case_setup) :: setup
    type(gas_law) :: law
    type(mesh) :: cells   ! of this rank
    type(mesh) :: whole   ! of all ranks, on rank 0
    type(cell_chemistry) :: chemistry
    type(composition_table) :: composition
    type(flow_problem) :: problem
    type(stopwatch) :: hydro_time, chemistry_time
    real(dp) :: length_x, length_y, dt, t_end
    integer :: step, snapshot

    setup = read_case(case_path)
    law = gas_law(setup%gas)
    if (model /= "") call chemistry%open(model, mode, setup%chemistry)
    length_x = setup%grid%length_x_pc * parsec
    length_y = merge(setup%grid%length_y_pc * parsec, length_x, setup%grid%ny > 1)
    cells = mesh(setup%grid%nx, setup%grid%ny, chemistry%n_species, length_x, length_y)
    if (model /= "") composition = chemistry%relaxed_composition(law, setup%chemistry)
    call problem%prepare(setup, law, composition, cells)
    if (rank == 0) then
      call make_folder(folder)
      print '(3a,i0,a,i0,a,i0,2a)', "  ", trim(setup%run%problem), ": ", cells%nx, " x ", cells%rows, " cells, ", &
        chemistry%n_species, " species, mode ", mode
      print '(2x,a6,a12,a12,a14,a14,a12,a)', "step", "time/kyr", "dt/yr", "hydro c/s", "chemistry c/s", "surrogate", &
        trim(merge("   imbalance", "            ", ranks > 1))
    end if

    t_end = setup%run%t_end_kyr * kiloyear
    step = 0
    snapshot = 0
    call put_snapshot()
    do while (cells%time < t_end .and. step < setup%run%max_steps)
      dt = stable_time_step(cells, law, setup%run%cfl)
      if (.not. setup%gas%thermal_balance) dt = min(dt, t_end - cells%time)

      call hydro_time%start()
      call hydro_step(cells, law, dt, problem)
      call hydro_time%stop()

      if (model /= "" .and. setup%chemistry%react) then
        call chemistry_time%start()
        call chemistry%react(cells, law, setup%chemistry%zeta, dt)
        call chemistry_time%stop()
      end if

      step = step + 1
      if (rank == 0 .and. modulo(step, setup%run%progress_every) == 0) call print_progress()
      if (cells%time >= (snapshot + 1) * t_end / setup%run%snapshots .or. step == setup%run%max_steps) then
        snapshot = snapshot + 1
        call put_snapshot()
      end if
    end do
    whole = whole_box(cells)
    if (rank == 0) then
      call write_summary(folder, compare, snapshot, step, whole, law, chemistry, mode, hydro_time, chemistry_time)
    end if

  contains

    subroutine put_snapshot()
      integer(i1), allocatable :: status(:, :)
      whole = whole_box(cells)
      call chemistry%whole_status(cells%rows, status)
      if (rank == 0) call write_snapshot(folder, snapshot, step, whole, law, setup, chemistry, status, mode)
    end subroutine

    subroutine print_progress()
      real(dp) :: cell_steps
      cell_steps = real(cells%nx * cells%rows, dp) * step
      write (*, '(2x,i6,f12.2,f12.1,es14.2,es14.2,f11.1,a)', advance="no") step, cells%time / kiloyear, &
        1000 * dt / kiloyear, cell_steps / hydro_time%seconds, cell_steps / max(chemistry_time%seconds, 1.0e-9_dp), &
        100 * chemistry%figure("surrogate") / max(chemistry%figure("cells"), 1.0_dp), "%"
      if (ranks > 1) write (*, '(f12.2)', advance="no") chemistry%seconds_balance%last
      print '(a)', ""
    end subroutine
  end subroutine
end module simulation
