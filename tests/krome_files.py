"""Networks in KROME's format, written here for the tests: the shipped network, and a small one with every feature."""

from __future__ import annotations

from pychemsurrogate.network import Network

# Hydrogen and helium with rates of every shape that KROME files have; the numbers are ours, of the right size.
PRIMORDIAL = """\
# A hydrogen and helium network
// with comments of every kind,
/* in lines
   of their own */
@common:user_crate,user_Av
@common: user_boost
@var: Tpow = (Tgas/3d2)**(-0.7d0)
@var:lnT300=log(Tgas*3.3333333333333333d-3) !a name of our own
@ghost:H2+

@format:idx,R,R,P,P,P,Tmin,Tmax,rate
1,H,E,H+,E,E,NONE,NONE,exp(-32.71d0+13.54d0*lnTe-5.739d0*lnTe**2+1.563d0*lnTe**3-0.2877d0*lnTe**4) # collisions
2,H+,E,H,,,NONE,5.5d3,3.92d-13*invTe**0.6353
3,H+,E,H,,,>5.5D3,NONE,exp(-28.61d0-0.7241d0*lnTe-2.026d-2*lnTe**2)
@CR_start
@format:idx,R,P,P,rate
4,H,H+,E,4.6d-1*user_crate
5,HE,HE+,E,5d-1*user_crate*(1d0+user_boost)
@CR_stop
@noTab_begin
@format:idx,R,R,P,P,rate
6,H,E,H-,g,1.4d-18*Tgas**0.928*exp(-Tgas/1.62d4)
7,H-,H,H2,E-,if(Tgas.le.1.16d3): 1.43d-9
8,H-,H,H2,E,if(Tgas>1160. .and. .not.(Tgas>=1d9)): 10d0**(-8.8-0.03*logT**2)
@noTab_end
9,HE+,E,HE,,merge(3d-12,2.5d-12,Tgas<2d2)*Tpow
@format:R,R,P,rate
H,{H},H2,5.2d-17*sqrt(T32)*get_Hnuclei(n(:))
H+,H-,H2,max(1d-7*invsqrT32,2d-8)*user_boost ! neutralisation, with a comment
@storeonce_start
@format:idx,R,P,P,k
12,H2,H,H,3.3d-11*exp(-3.5*user_Av)
13,H2,H,H,kooij(1d-8,-5d-1,5.2d4,Tgas)*get_Hnuclei(n)
14,H2,H2+,E,dmin1(1d-15,tanh(1d-3*T4)*user_crate)
15,H2+,H,H+,1d-16*exp(lnT300)
@storeonce_stop
@format:idx,R,R,P,rate
16,H2+,E,H2,2d-7*T32**(-.5)
"""


def spelt(species: str) -> str:
    """KROME's spelling of one of our species."""
    return "E" if species == "e-" else species.upper()


def fortran(value: float) -> str:
    """A number as Fortran spells it in double precision."""
    return f"{value:.6e}".replace("e", "d")


def in_krome_format(network: Network) -> str:
    """A network of Arrhenius and cosmic-ray rates as a KROME file."""
    lines = [f"# {network.name}", "@common:user_crate", "@var:T300=Tgas/3d2"]
    shape = None
    for index, reaction in enumerate(network.reactions, 1):
        sides = len(reaction.reactants), len(reaction.products)
        if sides != shape:
            shape = sides
            lines.append(f"@format:idx,{'R,' * sides[0]}{'P,' * sides[1]}rate")
        alpha, *rest = reaction.parameters
        rate = fortran(alpha)
        if reaction.law.name == "cosmic_ray":
            rate += "*user_crate"
        else:
            beta, gamma = rest
            rate += f"*T300**({fortran(beta)})" if beta else ""
            rate += f"*exp({fortran(-gamma)}*invTgas)" if gamma else ""
        names = [spelt(s.name) for s in (*reaction.reactants, *reaction.products)]
        lines.append(",".join([str(index), *names, rate]))
    return "\n".join(lines) + "\n"
