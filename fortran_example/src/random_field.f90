! Smooth random fields on the plane: sums of plane waves with random phases, the same numbers with every compiler.
module random_field
  use constants, only: dp, i8, pi
  implicit none
  private
  public :: wave_field

  ! A field of mean 0 and standard deviation 1, periodic over the box; amplitudes fall as 1/k (energy as k^-2 in the
  ! plane, the spectrum of shock-dominated turbulence).
  type :: wave_field
    private
    real(dp), allocatable :: kx(:), ky(:), phase(:), amplitude(:)   ! 1/cm, 1/cm, rad, 1
  contains
    procedure :: value
  end type wave_field

  interface wave_field
    module procedure new_field
  end interface

  integer, parameter :: largest_wave_number = 6   ! waves per box length

contains

  ! along_y_only: a function of y alone, as the displacement of a surface.
  function new_field(length_x, length_y, seed, along_y_only) result(self)
    real(dp), intent(in) :: length_x, length_y   ! cm
    integer, intent(in) :: seed
    logical, intent(in) :: along_y_only
    type(wave_field) :: self
    integer :: a, b, count
    integer(i8) :: generator
    real(dp) :: k

    allocate (self%kx(0), self%ky(0), self%phase(0), self%amplitude(0))
    generator = 1 + modulo(int(seed, i8) * 7919_i8, 2147483646_i8)
    do count = 1, 12   ! the first numbers of neighbouring seeds are alike
      generator = modulo(48271_i8 * generator, 2147483647_i8)
    end do
    do a = 0, merge(0, largest_wave_number, along_y_only)
      do b = merge(1, -largest_wave_number, a == 0), largest_wave_number   ! half a plane: (a, b) and (-a, -b) are one
        k = sqrt(real(a**2 + b**2, dp))
        if (k > largest_wave_number) cycle
        generator = modulo(48271_i8 * generator, 2147483647_i8)   ! minimal standard generator (Park & Miller 1988)
        self%kx = [self%kx, 2 * pi * a / length_x]
        self%ky = [self%ky, 2 * pi * b / length_y]
        self%phase = [self%phase, 2 * pi * real(generator, dp) / 2147483647.0_dp]
        self%amplitude = [self%amplitude, 1 / k]
      end do
    end do
    self%amplitude = self%amplitude / sqrt(0.5_dp * sum(self%amplitude**2))
  end function

  pure function value(self, x, y)
    class(wave_field), intent(in) :: self
    real(dp), intent(in) :: x, y   ! cm
    real(dp) :: value
    value = sum(self%amplitude * cos(self%kx * x + self%ky * y + self%phase))
  end function
end module random_field
