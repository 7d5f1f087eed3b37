! cloud_hydro: interstellar gas that flows, collides and reacts.
!
!   cloud_hydro CASE.nml [--model NAME] [--mode auto|surrogate|exact] [--output DIR] [--compare DIR]
!
! --model: a .pcs file or the name of a shipped model; without it no chemistry is computed.
! --mode: which path serves the cells (default auto: the surrogate where it is trusted, the exact integrator elsewhere).
! Under MPI (built with -DEXAMPLE_MPI=ON) the ranks share the box.
! --compare: the output folder of the same case run with --mode exact; the summary then tells the difference.
program cloud_hydro
  use parallel, only: finish_ranks, rank, start_ranks
  use simulation, only: simulate
  implicit none

  character(:), allocatable :: case_path, model, mode, folder, compare
  call start_ranks()
  call read_command_line()
  call simulate(case_path, model, mode, folder, compare)
  call finish_ranks()

contains

  subroutine read_command_line()
    character(:), allocatable :: word
    integer :: k

    case_path = ""
    model = ""
    mode = "auto"
    folder = "output"
    compare = ""
    k = 0
    do while (k < command_argument_count())
      k = k + 1
      word = argument(k)
      select case (word)
      case ("--model", "--mode", "--output", "--compare")
        k = k + 1
        if (k > command_argument_count()) call usage()
        if (word == "--model") model = argument(k)
        if (word == "--mode") mode = argument(k)
        if (word == "--output") folder = argument(k)
        if (word == "--compare") compare = argument(k)
      case default
        if (word(1:1) == "-" .or. case_path /= "") call usage()
        case_path = word
      end select
    end do
    if (case_path == "") call usage()
  end subroutine

  function argument(k) result(text)
    integer, intent(in) :: k
    character(:), allocatable :: text
    integer :: length
    call get_command_argument(k, length=length)
    allocate (character(length) :: text)
    call get_command_argument(k, text)
  end function

  subroutine usage()
    if (rank == 0) then
      print '(a)', "usage: cloud_hydro CASE.nml [--model NAME] [--mode auto|surrogate|exact] [--output DIR] [--compare DIR]"
    end if
    error stop "cloud_hydro: see the usage above"
  end subroutine
end program cloud_hydro
