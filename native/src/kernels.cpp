// The kernels, compiled once for every instruction set; and once more into a shared object for a user's own network
// (PCS_KERNEL_INTERFACE is defined then). SPDX-License-Identifier: BSD-3-Clause
#include "pcs/kernels.hpp"

#include "pcs/derivatives.hpp"
#include "pcs/finish.hpp"
#include "pcs/jump.hpp"
#include "pcs/latent.hpp"
#include "pcs/multi_clock.hpp"
#include "pcs/network_code.hpp"
#include "pcs/prepare.hpp"
#include "pcs/rosenbrock.hpp"
#include "pcs/step.hpp"
#include "pcs/trajectory.hpp"

namespace pcs::PCS_ISA {

// Straight-line code for the integrator runs faster at half of AVX-512's width (dispatch.cpp): at full width there is
// none.
constexpr bool code_integrates = W < 8;

static size_t integrator_bytes(const PlanView& plan) { return layout(plan, nullptr, nullptr); }

static void integrate(const PlanView& plan, const CellArrays& cells, const CellQueue& queue,
                      const IntegratorSettings& settings, IntegratorStatistics& statistics, void* memory) {
    const IntegratorWorkspace workspace = workspace_of(plan, memory);
#ifdef PCS_GENERATED
    if constexpr (code_integrates)
        if (has_code(plan) && !settings.tables_only)
            return Integrator<Generated<NetworkCode>>(plan, cells, queue, settings, statistics, workspace).run();
#endif
    Integrator<Tables>(plan, cells, queue, settings, statistics, workspace).run();
}

// Calls work.template operator()<Map>() with the map that the surrogate is.
template <class Work>
static void with_map([[maybe_unused]] const PlanView& plan, const SurrogateView& net, [[maybe_unused]] bool tables_only,
                     const Work& work) {
    if (net.kind == MapKind::latent && net.latent_map.precise) return work.template operator()<LatentMap<double>>();
    if (net.kind == MapKind::latent) return work.template operator()<LatentMap<float>>();
#ifdef PCS_GENERATED
    if (has_code(plan) && !tables_only) {
        using Code = Generated<NetworkCode>;
        return net.kind == MapKind::jump ? work.template operator()<JumpMap<Code>>()
                                         : work.template operator()<MultiClockMap<Code>>();
    }
#endif
    if (net.kind == MapKind::jump) return work.template operator()<JumpMap<Tables>>();
    work.template operator()<MultiClockMap<Tables>>();
}

static void advance(const PlanView& plan, const SurrogateView& net, const CellArrays& cells, const CellQueue& queue,
                    const SurrogateSettings& settings, SurrogateStatistics& statistics, const SurrogateTrace* trace,
                    void* workspace) {
    Memory memory(workspace);
    const Alone alone(plan, net, settings, memory);
    with_map(plan, net, settings.tables_only, [&]<class Map>() {
        LearnedStep<Map>(plan, net, cells, settings, statistics, trace, alone, memory).run(queue);
    });
}

static void follow(const PlanView& plan, const SurrogateView& net, const CellArrays& cells,
                   const TrajectoryArrays& trajectory, const CellQueue& queue, const SurrogateSettings& settings,
                   SurrogateStatistics& statistics, void* workspace) {
    Memory memory(workspace);
    const Alone alone(plan, net, settings, memory);
    with_map(plan, net, settings.tables_only, [&]<class Map>() {
        LearnedTrajectory<Map>(plan, net, cells, trajectory, settings, statistics, alone, memory).run(queue);
    });
}

static void prepare(const PlanView& plan, const PrepareArrays& cells, [[maybe_unused]] bool tables_only,
                    void* workspace) {
#ifdef PCS_GENERATED
    if (has_code(plan) && !tables_only) return prepare_cells<Generated<NetworkCode>>(plan, cells, workspace);
#endif
    prepare_cells<Tables>(plan, cells, workspace);
}

static void finish(const PlanView& plan, const FinishArrays& cells, [[maybe_unused]] bool tables_only,
                   void* workspace) {
#ifdef PCS_GENERATED
    if (has_code(plan) && !tables_only) return finish_cells<Generated<NetworkCode>>(plan, cells, workspace);
#endif
    finish_cells<Tables>(plan, cells, workspace);
}

// On a null workspace the constructors only count.
static size_t surrogate_bytes(const PlanView& plan, const SurrogateView& net, const SurrogateSettings& settings) {
    Memory counted(nullptr);
    const Alone alone(plan, net, settings, counted);
    SurrogateStatistics none{};
    with_map(plan, net, true,
             [&]<class Map>() { LearnedStep<Map>(plan, net, {}, settings, none, nullptr, alone, counted); });
    return counted.bytes();
}

static size_t trajectory_bytes(const PlanView& plan, const SurrogateView& net, const SurrogateSettings& settings) {
    Memory counted(nullptr);
    const Alone alone(plan, net, settings, counted);
    SurrogateStatistics none{};
    with_map(plan, net, true,
             [&]<class Map>() { LearnedTrajectory<Map>(plan, net, {}, {}, settings, none, alone, counted); });
    return counted.bytes();
}

static void derive(const PlanView& plan, const CellArrays& cells, const CellQueue& queue, const DerivativeArrays& to,
                   void* workspace) {
    Derivatives(plan, cells, to, workspace).run(queue);
}

// W cells at a time, as the queue has them.
static void refuse(const PlanView& plan, const CellArrays& cells, const CellQueue& queue, void* workspace) {
    IntegratorWorkspace w;
    layout(plan, (char*)workspace, &w);
    for (bool more = true; more;) {
        RateInput given[W];
        int64_t cell[W];
        int count = 0;
        while (count < W && (more = (cell[count] = take(queue)) >= 0)) {
            double* conditions = w.conditions + count * plan.n_conditions;
            const CellInput input = read_surroundings(plan, cells, cell[count], conditions);
            given[count] = {count, input.temperature_K, input.n_H, conditions};
            ++count;
        }
        if (count == 0) return;
        evaluate(plan, given, count, w.rate);
        const Int refused = without_rates(plan, w.rate);
        for (int l = 0; l < count; ++l)
            if (refused[l]) cells.status[cell[l]] = status_UNSUPPORTED;
    }
}

}  // namespace pcs::PCS_ISA

#define PCS_JOIN_(a, b) a##b
#define PCS_JOIN(a, b) PCS_JOIN_(a, b)
#define PCS_TEXT_(a) #a
#define PCS_TEXT(a) PCS_TEXT_(a)

const pcs::Kernels& pcs::PCS_JOIN(kernels_, PCS_ISA)() {
    static constexpr Kernels kernels{PCS_TEXT(PCS_ISA),         PCS_ISA::W,         PCS_ISA::has_code,
                                     PCS_ISA::integrator_bytes, PCS_ISA::integrate, PCS_ISA::block,
                                     PCS_ISA::surrogate_bytes,  PCS_ISA::advance,   PCS_ISA::trajectory_bytes,
                                     PCS_ISA::follow,           PCS_ISA::prepare,   PCS_ISA::finish,
                                     PCS_ISA::derive,           PCS_ISA::refuse};
    return kernels;
}

#ifdef PCS_KERNEL_INTERFACE
extern "C" __attribute__((visibility("default"))) const pcs::NetworkKernels* pcs_network_kernels() {
    using Code = pcs::PCS_ISA::NetworkCode;
    static const pcs::NetworkKernels mine{PCS_KERNEL_INTERFACE, pcs::kernel_layout(), Code::fingerprint,
                                          &pcs::PCS_JOIN(kernels_, PCS_ISA)()};
    return &mine;
}
#endif
