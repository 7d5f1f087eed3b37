! Snapshots: NAME.txt, a header that people read, and NAME.bin, its fields one after the other, x running fastest.
module output
  use case_file, only: case_setup
  use chemistry, only: cell_chemistry
  use constants, only: dp, i1
  use gas, only: gas_law, pressure_, rho_, vx_, vy_
  use grid, only: mesh
  implicit none
  private
  public :: make_folder, snapshot_name, write_snapshot, read_species

contains

  ! Make the output folder; snapshots of an earlier run in it are removed.
  subroutine make_folder(path)
    character(*), intent(in) :: path
    integer :: stat
    call execute_command_line("mkdir -p '" // path // "' && rm -f '" // path // "'/snapshot_????.txt '" // path // &
                              "'/snapshot_????.bin", exitstat=stat)
    if (stat /= 0) error stop "output: the output folder cannot be made; choose another one with --output"
  end subroutine

  function snapshot_name(folder, number) result(name)
    character(*), intent(in) :: folder
    integer, intent(in) :: number
    character(:), allocatable :: name
    character(32) :: file
    write (file, '(a,i4.4)') "snapshot_", number
    name = folder // "/" // trim(file)
  end function

  ! Write the state of the whole box; status: of its cells, not allocated before the first step. Errors: a folder that cannot be written to stops the program.
  subroutine write_snapshot(folder, number, step, cells, law, setup, chemistry, status, mode)
    character(*), intent(in) :: folder, mode
    integer, intent(in) :: number, step
    type(mesh), intent(in) :: cells
    type(gas_law), intent(in) :: law
    type(case_setup), intent(in) :: setup
    type(cell_chemistry), intent(in) :: chemistry
    integer(i1), allocatable, intent(in) :: status(:, :)
    real(dp), allocatable :: w(:, :, :)
    integer :: header, fields, i, j

    allocate (w(4, cells%nx, cells%ny))
    do j = 1, cells%ny
      do i = 1, cells%nx
        w(:, i, j) = law%primitive(cells%u(:, i, j))
      end do
    end do

    open (newunit=header, file=snapshot_name(folder, number) // ".txt", status="replace", action="write")
    open (newunit=fields, file=snapshot_name(folder, number) // ".bin", status="replace", action="write", &
          access="stream", form="unformatted")
    write (header, '(a)') "pychemsurrogate_fields 1"
    write (header, '(2a)') "problem ", trim(setup%run%problem)
    write (header, '(2a)') "mode ", mode
    write (header, '(a,i0)') "step ", step
    write (header, '(a,es24.16e3)') "time_s ", cells%time
    write (header, '(a,i0,1x,i0)') "cells ", cells%nx, cells%ny
    write (header, '(a,2(1x,es24.16e3))') "cell_size_cm", cells%dx, cells%dy
    write (header, '(a,2(1x,es24.16e3))') "lower_corner_cm", cells%x_left, cells%y_left
    write (header, '(a,es24.16e3)') "zeta_per_s ", setup%chemistry%zeta
    write (header, '(2a)') "byte_order ", byte_order()
    write (header, '(a)') "# field NAME UNIT TYPE, in the order of the binary file"
    call put("density", "g/cm^3", w(rho_, :, :))
    call put("n_H", "cm^-3", law%hydrogen(w(rho_, :, :)))
    call put("temperature", "K", law%temperature(w(rho_, :, :), w(pressure_, :, :)))
    call put("pressure", "erg/cm^3", w(pressure_, :, :))
    call put("velocity_x", "cm/s", w(vx_, :, :))
    call put("velocity_y", "cm/s", w(vy_, :, :))
    do i = 1, cells%n_species
      call put("n(" // trim(chemistry%species(i)) // ")", "cm^-3", cells%n(i, 1:cells%nx, 1:cells%ny))
    end do
    if (allocated(status)) then
      write (header, '(a)') "field status 1 int8"
      write (fields) status
    end if
    close (header)
    close (fields)

  contains

    subroutine put(name, unit, values)
      character(*), intent(in) :: name, unit
      real(dp), intent(in) :: values(:, :)
      write (header, '(5a)') "field ", name, " ", unit, " float64"
      write (fields) values
    end subroutine
  end subroutine

  ! Read one species of a snapshot of another run. found is .false. if the snapshot does not exist or does not have
  ! this species on a mesh of this size.
  subroutine read_species(folder, number, name, values, found)
    character(*), intent(in) :: folder, name
    integer, intent(in) :: number
    real(dp), intent(out) :: values(:, :)
    logical, intent(out) :: found
    character(256) :: line
    character(32) :: word, field, units, kind
    integer :: header, fields, stat, nx, ny, before

    found = .false.
    values = 0
    nx = 0
    ny = 0
    before = 0   ! float64 fields that precede in the file
    open (newunit=header, file=snapshot_name(folder, number) // ".txt", status="old", action="read", iostat=stat)
    if (stat /= 0) return
    do
      read (header, '(a)', iostat=stat) line
      if (stat /= 0) exit
      if (line(1:6) == "cells ") read (line, *) word, nx, ny
      if (line(1:6) /= "field ") cycle
      call split_field(line, field, units, kind)
      if (field == "n(" // trim(name) // ")" .and. nx == size(values, 1) .and. ny == size(values, 2)) then
        found = .true.
        exit
      end if
      before = before + 1
    end do
    close (header)
    if (.not. found) return
    open (newunit=fields, file=snapshot_name(folder, number) // ".bin", status="old", action="read", access="stream", &
          form="unformatted")
    read (fields, pos=1 + 8 * before * nx * ny) values
    close (fields)
  end subroutine

  ! "field NAME UNIT TYPE" (units hold slashes, which end a list-directed read).
  subroutine split_field(line, name, unit, kind)
    character(*), intent(in) :: line
    character(*), intent(out) :: name, unit, kind
    integer :: first, second
    first = 6 + index(line(7:), " ")
    second = first + index(line(first + 1:), " ")
    name = line(7:first - 1)
    unit = line(first + 1:second - 1)
    kind = line(second + 1:)
  end subroutine

  pure function byte_order() result(order)
    character(6) :: order
    order = merge("little", "big   ", transfer([1_i1, 0_i1, 0_i1, 0_i1], 0) == 1)
  end function
end module output
