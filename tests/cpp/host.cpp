// Every function of pcs.hpp, and what a failure looks like, with exceptions and without. SPDX-License-Identifier:
// BSD-3-Clause. Usage: host MODEL
#include "pcs.hpp"

#include <clocale>
#include <cmath>
#include <cstring>
#include <type_traits>

static int failures = 0;
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition), ++failures; \
    } while (0)

static_assert(!std::is_copy_constructible_v<pcs::Solver> && !std::is_copy_assignable_v<pcs::Solver>);
static_assert(std::is_nothrow_move_constructible_v<pcs::Solver> && std::is_nothrow_move_assignable_v<pcs::Solver>);
static_assert(sizeof(pcs::Solver) == sizeof(void*));

// The call fails with this code; its message holds the text.
template <class Call>
static void fails(int line, int code, const char* message, const Call& call) {
#ifdef __cpp_exceptions
    try {
        call();
        std::printf("%s:%d: nothing was thrown\n", __FILE__, line), ++failures;
    } catch (const pcs::Error& error) {
        const bool right = error.code() == code && std::strstr(error.what(), message);
        if (!right) std::printf("%s:%d: %d %s\n", __FILE__, line, error.code(), error.what()), ++failures;
    }
#else
    (void)message;
    if (call() != code) std::printf("%s:%d: another code\n", __FILE__, line), ++failures;
#endif
}
#define FAILS(code, message, call) fails(__LINE__, code, message, [&] { return call; })

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    std::setlocale(LC_ALL, "");
    pcs::Solver closed, solver;
    FAILS(PCS_E_FILE, "no/such.pcs", solver.open("no/such.pcs"));
    FAILS(PCS_E_ARGUMENT, "handle is null", closed.species());
    FAILS(PCS_E_ARGUMENT, "handle is null", closed.step(pcs::Cells{}, 1.0));
    CHECK(!closed.is_open() && closed.species_name(0) == "" && closed.close() == 0);

    CHECK(solver.open(argv[1]) == 0 && solver.is_open());
    pcs::Solver chemistry = std::move(solver);
    CHECK(!solver.is_open() && chemistry.is_open());
    solver = pcs::Solver(argv[1]);
    CHECK(solver.is_open() && solver.get() != chemistry.get());
    CHECK(solver.close() == 0 && !solver.is_open());

    const int S = chemistry.species();
    CHECK(S == 29 && chemistry.species_name(chemistry.species_index("CO")) == "CO" && chemistry.species_name(S) == "");
    FAILS(PCS_E_NAME, "unknown species 'Xx'", chemistry.species_index("Xx"));
    CHECK(chemistry.last_error().find("'Xx'") != std::string::npos);
    CHECK(chemistry.conditions() == 1 && chemistry.condition_name(0) == "zeta" &&
          chemistry.condition_index("zeta") == 0);
    CHECK(chemistry.conserved() == 4 && chemistry.conserved_name(3) == "charge");
    CHECK(chemistry.composition(3, chemistry.species_index("e-")) == -1);
    CHECK(std::abs(chemistry.species_mass_g(chemistry.species_index("H")) / 1.6738e-24 - 1) < 1e-4);
    const int R = chemistry.reactions();
    CHECK(R == 224 && chemistry.reaction_equation(0).find(" -> ") != std::string::npos);

    CHECK(chemistry.set("mode", "exact") == 0 && chemistry.set("rtol", 1e-3) == 0);
    CHECK(chemistry.set("max_steps", 3000) == 0 && chemistry.set("statistics", std::string("on")) == 0);
    FAILS(PCS_E_OPTION, "unknown option 'colour'", chemistry.set("colour", "blue"));

    constexpr int cells = 3;
    std::vector<double> n(cells * static_cast<std::size_t>(S), 1e-4), T(cells, 20.0), zeta(cells, 1e-16),
        dt(cells, 1e11);
    std::vector<std::int8_t> status(cells, 99), mask{1, 0, 1};
    for (int c = 0; c < cells; ++c) n[static_cast<std::size_t>(c * S + chemistry.species_index("H2"))] = 500;
    const std::vector<double> before = n;
    const pcs::Cells all = pcs::contiguous(cells, n.data(), S, T.data(), zeta.data(), 1);

    std::vector<double> k(cells * static_cast<std::size_t>(R)), rhs(n.size()),
        J(n.size() * static_cast<std::size_t>(S));
    CHECK(chemistry.rate_coefficients(all, k.data()) == 0 && k[0] > 0);
    CHECK(chemistry.rhs(all, rhs.data(), status.data()) == 0 && status[0] == PCS_STATUS_UNCHANGED);
    CHECK(chemistry.jacobian(all, J.data()) == 0 && n == before);
    // What is made of charge comes from charge.
    // kept.
    double charge = 0;
    for (int i = 0; i < S; ++i) charge += chemistry.composition(3, i) * rhs[static_cast<std::size_t>(i)];
    CHECK(std::abs(charge) < 1e-12 * std::abs(rhs[static_cast<std::size_t>(chemistry.species_index("e-"))]));

    CHECK(chemistry.step(all, 1e11, mask.data(), status.data()) == 0);
    CHECK(status[0] == PCS_STATUS_EXACT_REQUESTED && status[1] == PCS_STATUS_MASKED);
    CHECK(chemistry.report("masked") == 1 &&
          std::memcmp(&n[static_cast<std::size_t>(S)], &before[static_cast<std::size_t>(S)], 8) == 0);
    std::vector<std::int32_t> steps(cells);
    CHECK(chemistry.cell_statistics("steps", steps) == 0 && steps[0] > 0 && steps[1] == 0);
    std::vector<double> again = before;
    pcs::Cells other = all;
    other.n = again.data();
    CHECK(chemistry.step(other, dt.data(), 1) == 0);
    CHECK(std::memcmp(n.data(), again.data(), static_cast<std::size_t>(S) * sizeof(double)) == 0);
    std::vector<double> error(cells, 0.0);
    CHECK(chemistry.step(other, dt.data(), 0, error.data(), 1, nullptr, status.data()) == 0);
    std::vector<double> states(2 * n.size());
    CHECK(chemistry.trajectory(other, {0.0, 1e10}, states.data()) == 0 && states[0] == again[0]);
    FAILS(PCS_E_ARGUMENT, "later than the one before", chemistry.trajectory(other, {1e10, 0.0}, states.data()));
    CHECK(chemistry.equilibrium(other, 1e-4, 1e17, nullptr, status.data()) == 0);
    other.cell_stride = 1;
    FAILS(PCS_E_ARGUMENT, "share one place", chemistry.step(other, 1.0));
    FAILS(PCS_E_NAME, "unknown report key", (chemistry.report("weather"), PCS_E_NAME));
    FAILS(PCS_E_OPTION, "no router", (chemistry.costs(), PCS_E_OPTION));
    CHECK(std::strstr(pcs::status_message(PCS_STATUS_STEP_LIMIT), "raise max_steps") != nullptr);
    if (failures == 0) std::puts("ok");
    return failures != 0;
}
