! The closing table: speed, who served the cells, conservation, and the difference to a run with the exact integrator.
module summary
  use chemistry, only: cell_chemistry
  use constants, only: dp, i8
  use gas, only: gas_law, rho_
  use grid, only: mesh
  use output, only: read_species
  use parallel, only: ranks
  implicit none
  private
  public :: stopwatch, write_summary

  type :: stopwatch
    real(dp) :: seconds = 0
    integer(i8), private :: started = 0
  contains
    procedure :: start
    procedure :: stop
  end type stopwatch

  character(*), parameter :: rule = "  " // repeat("-", 76)
  character(16), parameter :: compared(5) = [character(16) :: "CO", "C", "C+", "H2O", "e-"]
  real(dp), parameter :: abundance_floor = 1.0e-10_dp   ! n_i / n_H below this count as absent in the comparison

contains

  subroutine start(self)
    class(stopwatch), intent(inout) :: self
    call system_clock(self%started)
  end subroutine

  subroutine stop(self)
    class(stopwatch), intent(inout) :: self
    integer(i8) :: now, rate
    call system_clock(now, rate)
    self%seconds = self%seconds + real(now - self%started, dp) / rate
  end subroutine

  ! Print the table, and write the same figures as "name value" lines into folder/summary.txt.
  ! cells: the whole box. compare: the folder of the exact run, or "". last_snapshot: the snapshot that shows the final
  ! state.
  subroutine write_summary(folder, compare, last_snapshot, steps, cells, law, chemistry, mode, hydro_time, chemistry_time)
    character(*), intent(in) :: folder, compare, mode
    integer, intent(in) :: last_snapshot, steps
    type(mesh), intent(in) :: cells
    type(gas_law), intent(in) :: law
    type(cell_chemistry), intent(in) :: chemistry
    type(stopwatch), intent(in) :: hydro_time, chemistry_time
    real(dp) :: cell_steps
    integer :: file, k

    cell_steps = real(cells%nx * cells%ny, dp) * steps
    open (newunit=file, file=folder // "/summary.txt", status="replace", action="write")
    write (file, '(2a)') "mode ", mode
    print '(/,a)', "  Summary"
    print '(a)', rule
    call row("time steps", "steps", real(steps, dp), "steps")
    call row("hydro", "hydro_cells_per_s", cell_steps / hydro_time%seconds, "cells/s")
    call row("", "hydro_seconds", hydro_time%seconds, "s")
    if (cells%n_species > 0 .and. chemistry%figure("cells") > 0) then
      call row("chemistry, all cells", "chemistry_cells_per_s", cell_steps / chemistry_time%seconds, "cells/s")
      call row("", "chemistry_seconds", chemistry_time%seconds, "s")
      call speed("surrogate", "surrogate", "seconds_surrogate")
      call speed("exact integrator", "exact", "seconds_exact")
      call share("served by the surrogate", "surrogate")
      call share("exact at once, since cheaper", "routed")
      call share("refused: outside the trained box", "refused_box")
      call share("refused: far from the training states", "refused_distance")
      call share("refused: predicted error too large", "refused_error")
      call share("exact now and then, or budget spent", "refused_budget")
      call share("audited", "audited")
      call share("failed (input kept)", "failed")
      call row("conservation, largest defect of a step", "chemistry_defect", chemistry%defect, "relative")
      if (ranks > 1) then
        call row("ranks", "ranks", real(ranks, dp), "ranks")
        call row("chemistry seconds of the slowest rank", "imbalance_seconds", chemistry%seconds_balance%overall(), "of mean")
        call row("  in the worst step", "imbalance_seconds_worst", chemistry%seconds_balance%worst, "of mean")
        call row("integrated cells of the fullest rank", "imbalance_exact", chemistry%exact_balance%overall(), "of mean")
        call row("  in the worst step", "imbalance_exact_worst", chemistry%exact_balance%worst, "of mean")
      end if
    end if
    if (cells%n_species > 0) then
      call write_drift()
      do k = 1, cells%n_species
        if (any(compared == chemistry%species(k))) call write_mean(k)
      end do
    end if
    print '(a)', rule
    if (compare /= "" .and. cells%n_species > 0) then
      print '(a)', "  |log10 n - log10 n_exact| at the end, cells with n/n_H above 1e-10 in the exact run"
      print '(4x,a8,5a12)', "species", "mean", "median", "99 %", "max", "cells"
      do k = 1, cells%n_species
        if (any(compared == chemistry%species(k))) call write_difference(k)
      end do
      print '(a)', rule
    end if
    close (file)

  contains

    ! The printed form suits the unit; the file keeps all digits.
    subroutine row(label, name, value, unit)
      character(*), intent(in) :: label, name, unit
      real(dp), intent(in) :: value
      character(14) :: shown

      select case (unit)
      case ("steps", "ranks")
        write (shown, '(i14)') nint(value)
      case ("cells/s")
        write (shown, '(i14)') nint(value, i8)
      case ("s")
        write (shown, '(f14.2)') value
      case ("of mean")
        write (shown, '(f14.3)') value
      case ("% of cells")
        write (shown, '(f14.3)') 100 * value
      case default
        write (shown, '(es14.2)') value
      end select
      print '(2x,a,1x,a)', [character(42) :: label] // shown, unit
      write (file, '(a,es24.16e3)') name // " ", value
    end subroutine

    ! Cells a second on one of the two paths, by the time that the library spent there.
    subroutine speed(label, count, seconds)
      character(*), intent(in) :: label, count, seconds
      if (chemistry%figure(seconds) > 0 .and. chemistry%figure(count) > 0) then
        call row(label, count // "_cells_per_s", chemistry%figure(count) / chemistry%figure(seconds), "cells/s")
      end if
    end subroutine

    subroutine share(label, count)
      character(*), intent(in) :: label, count
      call row(label, count // "_share", chemistry%figure(count) / chemistry%figure("cells"), "% of cells")
    end subroutine

    ! How far the nuclei per H nucleus (of the gas) have drifted apart since the start, when they were the same
    ! everywhere; and the largest net charge, as a share of all charges in the cell.
    subroutine write_drift()
      real(dp) :: low(size(chemistry%conserved)), high(size(chemistry%conserved)), amount(size(chemistry%conserved))
      real(dp) :: charge
      integer :: i, j, q, last

      last = size(chemistry%conserved)
      low = huge(1.0_dp)
      high = 0
      charge = 0
      do j = 1, cells%ny
        do i = 1, cells%nx
          amount = matmul(chemistry%content, cells%n(:, i, j))
          charge = max(charge, abs(amount(last)) / sum(abs(chemistry%content(last, :)) * cells%n(:, i, j)))
          amount = amount / law%hydrogen(cells%u(rho_, i, j))
          low = min(low, amount)
          high = max(high, amount)
        end do
      end do
      do q = 1, last - 1
        call row("spread of " // trim(chemistry%conserved(q)) // " nuclei per H over the cells", &
                 "spread_" // trim(chemistry%conserved(q)), (high(q) - low(q)) / high(q), "relative")
      end do
      call row("largest net charge", "net_charge", charge, "of all charges")
    end subroutine

    ! The abundance of the gas in the box as a whole.
    subroutine write_mean(species)
      integer, intent(in) :: species
      character(:), allocatable :: name
      name = trim(chemistry%species(species))
      call row("mean abundance of " // name, "mean_x_" // name, sum(cells%n(species, 1:cells%nx, 1:cells%ny)) / &
               sum(law%hydrogen(cells%u(rho_, 1:cells%nx, 1:cells%ny))), "per H")
    end subroutine

    subroutine write_difference(species)
      integer, intent(in) :: species
      real(dp) :: exact(cells%nx, cells%ny), here(cells%nx, cells%ny), n_h(cells%nx, cells%ny)
      real(dp), allocatable :: difference(:)
      character(:), allocatable :: name
      logical :: found
      integer :: count

      name = trim(chemistry%species(species))
      call read_species(compare, last_snapshot, name, exact, found)
      if (.not. found) then
        print '(4x,5a)', name, ": no snapshot of the same size and number in ", compare
        return
      end if
      here = cells%n(species, 1:cells%nx, 1:cells%ny)
      n_h = law%hydrogen(cells%u(rho_, 1:cells%nx, 1:cells%ny))
      difference = pack(abs(log10(max(here, tiny(1.0_dp)) / max(exact, tiny(1.0_dp)))), exact > abundance_floor * n_h)
      count = size(difference)
      if (count == 0) return
      call sort(difference)
      print '(4x,a8,4f12.4,i12)', name, sum(difference) / count, quantile(difference, 0.5_dp), &
        quantile(difference, 0.99_dp), difference(count), count
      write (file, '(3a,es24.16e3)') "dex_mean_", name, " ", sum(difference) / count
      write (file, '(3a,es24.16e3)') "dex_median_", name, " ", quantile(difference, 0.5_dp)
      write (file, '(3a,es24.16e3)') "dex_p99_", name, " ", quantile(difference, 0.99_dp)
    end subroutine
  end subroutine

  ! The value below which the given share of the sorted values lies.
  pure function quantile(sorted, share) result(value)
    real(dp), intent(in) :: sorted(:), share
    real(dp) :: value
    value = sorted(max(1, ceiling(share * size(sorted))))
  end function

  ! Heap sort, ascending.
  pure subroutine sort(values)
    real(dp), intent(inout) :: values(:)
    real(dp) :: largest
    integer :: k
    do k = size(values) / 2, 1, -1
      call sift_down(values, k)
    end do
    do k = size(values), 2, -1
      largest = values(1)
      values(1) = values(k)
      values(k) = largest
      call sift_down(values(:k - 1), 1)
    end do
  end subroutine

  pure subroutine sift_down(heap, start)
    real(dp), intent(inout) :: heap(:)
    integer, intent(in) :: start
    real(dp) :: item
    integer :: parent, child

    item = heap(start)
    parent = start
    do
      child = 2 * parent
      if (child > size(heap)) exit
      if (child < size(heap)) then
        if (heap(child + 1) > heap(child)) child = child + 1
      end if
      if (heap(child) <= item) exit
      heap(parent) = heap(child)
      parent = child
    end do
    heap(parent) = item
  end subroutine
end module summary
