// From the arrays of a model file to packed weights. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "pcs/error.hpp"
#include "pcs/image.hpp"
#include "pcs/solver.hpp"

namespace pcs {

[[noreturn]] void refuse(const ModelFile& file, const std::string& what) {
    throw Error(ErrorCode::file, file.label() + ": " + what + ": train or write the model anew");
}

double one_number(const ModelFile& file, const std::string& name) {
    const auto values = file.f64(name);
    if (values.size() != 1 || !std::isfinite(values[0])) refuse(file, name + " must be one finite number");
    return values[0];
}

std::vector<double> ascending(const ModelFile& file, const std::string& name) {
    const auto values = file.f64(name);
    for (std::size_t k = 0; k < values.size(); ++k)
        if (!std::isfinite(values[k]) || (k > 0 && !(values[k] > values[k - 1])))
            refuse(file, name + " must be finite and ascend");
    return values;
}

namespace {

double positive(const ModelFile& file, const std::string& name) {
    const double value = one_number(file, name);
    if (!(value > 0)) refuse(file, name + " must be positive");
    return value;
}

int count(const ModelFile& file, const std::string& name, int most) {
    const auto values = file.i32(name);
    if (values.size() != 1 || values[0] < 1 || values[0] > most)
        refuse(file, name + " must be one number between 1 and " + std::to_string(most));
    return values[0];
}

// Which of the choices a text array names.
int choice(const ModelFile& file, const std::string& name, const std::vector<std::string>& choices) {
    const auto lines = file.lines(name);
    const auto found = lines.size() == 1 ? std::find(choices.begin(), choices.end(), lines[0]) : choices.end();
    if (found != choices.end()) return static_cast<int>(found - choices.begin());
    std::string known;
    for (const std::string& item : choices) known += (known.empty() ? "" : " or ") + item;
    refuse(file, name + " must be " + known);
}

template <class T>
bool all_finite(const std::vector<T>& values) {
    return std::all_of(values.begin(), values.end(), [](T value) { return std::isfinite(value); });
}

int padded_to(int block, int outputs) { return (outputs + block - 1) / block * block; }
std::size_t packed_at(int block, int inputs, int output, int input) {
    return (static_cast<std::size_t>(output / block) * inputs + input) * block + output % block;
}

int inputs(const MlpView& net) { return net.layers[0].inputs; }
int outputs(const MlpView& net) { return net.layers[net.n_layers - 1].outputs; }

constexpr int most_latent = 1024, most_terms = 64, most_ode_steps = 1000, most_finish_steps = 100, most_shares = 100,
              most_experts = 1024;

int index_of(const std::vector<std::string>& names, const std::string& name) {
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

// The plan's number of a species; -1 for one that the network does not have.
int planned(const NetworkTables& tables, const Plan& plan, const std::string& species) {
    const int host = index_of(tables.species, species);
    const std::int32_t* order = plan.view().order;
    return host < 0 ? -1 : static_cast<int>(std::find(order, order + tables.n_species(), host) - order);
}

// A quantity of the box or of the bins, by its name.
Quantity quantity_of(const ModelFile& file, const NetworkTables& tables, const Plan& plan, const std::string& name) {
    const auto slash = name.find('/');
    const std::string first = name.substr(0, slash), second = slash == name.npos ? "" : name.substr(slash + 1);
    Quantity quantity{QuantityKind::temperature, 0, 0};
    if (name == "theta") {
        quantity.kind = QuantityKind::theta;
    } else if (name == "net_charge/n_e") {
        quantity.kind = QuantityKind::net_charge;
        quantity.index = tables.n_conserved() - 1;
        quantity.other = index_of(tables.species, "e-");
    } else if (second == "n_H") {
        quantity.kind = QuantityKind::condition_per_density;
        quantity.index = index_of(tables.conditions, first);
    } else if (name.ends_with("*dt")) {
        quantity.kind = QuantityKind::condition_times_dt;
        quantity.index = index_of(tables.conditions, name.substr(0, name.size() - 3));
    } else if (first == "abundance") {
        quantity.kind = QuantityKind::abundance;
        quantity.index = planned(tables, plan, second);
    } else if (name != "T") {
        quantity.kind = QuantityKind::element_ratio;
        quantity.index = index_of(tables.conserved, first);
        quantity.other = index_of(tables.conserved, second);
    }
    if (quantity.index < 0 || quantity.other < 0)
        refuse(file, "the gate reads '" + name + "', which this network does not have");
    return quantity;
}

}  // namespace

Surrogate::Surrogate(const ModelFile& file, const NetworkTables& tables, const Plan& plan)
    : packing_{kernels().mlp_block, 2 * kernels().width} {
    if (std::count(tables.law.begin(), tables.law.end(), static_cast<int>(Law::photo)))
        refuse(file, "a surrogate cannot serve photo-reactions (their A_V does not scale with n_H)");
    view_.kind = static_cast<MapKind>(choice(file, "surrogate/kind", {"multiclock", "latent", "jump"}));
    load_finish(file);
    if (view_.kind == MapKind::multi_clock)
        load_multi_clock(file, tables);
    else if (view_.kind == MapKind::jump)
        load_jump(file, tables);
    else
        load_latent(file, tables);
    load_box(file, tables, plan);
    load_bins(file, tables, plan);
    load_distance(file, tables);
    load_budget(file);
    if (file.has("gate/thresholds")) calibration_ = std::make_unique<Calibration>(file, tables, bins());
    if (file.has("router/steps")) router_ = std::make_unique<RouterTable>(file, tables, calibration_.get());
}

void Surrogate::load_finish(const ModelFile& file) {
    const bool given = file.has("surrogate/finish_steps");
    if (given != file.has("surrogate/finish_fraction"))
        refuse(file, "surrogate/finish_fraction and finish_steps belong together, but one of them is missing");
    if (!given) return;
    if (view_.kind == MapKind::latent) refuse(file, "a latent map has no finish");
    view_.finish = {count(file, "surrogate/finish_steps", most_finish_steps),
                    positive(file, "surrogate/finish_fraction")};
    if (!(view_.finish.fraction < 1)) refuse(file, "surrogate/finish_fraction must be below 1");
}

// The error head, the features' mean and scale, and the floors of the maps that serve any state.
void Surrogate::load_reduced(const ModelFile& file, int n_head_inputs, int n_features) {
    ReducedView& v = view_.reduced;
    v.clock_theta0 = positive(file, "surrogate/clock_theta0");
    v.x_floor = positive(file, "surrogate/x_floor");
    if (v.x_floor < 1e-30) refuse(file, "surrogate/x_floor must be 1e-30 at least (logarithms in single precision)");
    v.x_trace = positive(file, "surrogate/x_trace");
    v.n_head_inputs = n_head_inputs;
    if (file.has("surrogate/head_w0") != file.has("gate/thresholds"))
        refuse(file, "an error head and gate/thresholds belong together, but one of them is missing");
    if (file.has("surrogate/head_w0")) {
        v.head = load_mlp(file, "surrogate/head", Activation::silu, Activation::none);
        if (inputs(v.head) != v.n_head_inputs || outputs(v.head) != 1)
            refuse(file, "the error head does not fit this network");
    }
    feature_mean_ = file.f32("surrogate/feature_mean");
    feature_scale_ = file.f32("surrogate/feature_std");
    if (feature_mean_.size() != static_cast<std::size_t>(n_features) || feature_scale_.size() != feature_mean_.size())
        refuse(file, "feature_mean and feature_std do not fit this network");
    if (!all_finite(feature_mean_) || !all_finite(feature_scale_))
        refuse(file, "feature_mean and feature_std must be finite");
    for (float& s : feature_scale_) {
        if (!(s > 0)) refuse(file, "feature_std must be positive");
        s = 1.0f / s;
    }
    v.feature_mean = feature_mean_.data();
    v.feature_scale = feature_scale_.data();
}

void Surrogate::load_multi_clock(const ModelFile& file, const NetworkTables& tables) {
    const int S = tables.n_species(), C = tables.n_conditions(), Q = tables.n_conserved();
    MultiClockView& v = view_.multi_clock;
    view_.latent = count(file, "surrogate/latent", most_latent);
    clock_theta_ = file.f64("surrogate/clock_theta");
    v.n_clocks = static_cast<std::int32_t>(clock_theta_.size()) + 1;
    v.clock_theta = clock_theta_.data();
    view_.n_features = 3 * S + 1 + C;
    v.encoder = load_mlp(file, "surrogate/encode", Activation::silu, Activation::none);
    v.decoder = load_mlp(file, "surrogate/decode", Activation::silu, Activation::none);
    if (inputs(v.encoder) != view_.n_features || outputs(v.encoder) != (1 + v.n_clocks) * view_.latent)
        refuse(file, "the encoder does not fit this network");
    if (inputs(v.decoder) != view_.latent + S || outputs(v.decoder) != S)
        refuse(file, "the decoder does not fit this network");
    load_reduced(file, view_.latent + 2 * S + Q + (view_.finish.steps > 0 ? S + 1 : 0), view_.n_features);
}

void Surrogate::load_jump(const ModelFile& file, const NetworkTables& tables) {
    const int S = tables.n_species(), C = tables.n_conditions(), Q = tables.n_conserved();
    JumpView& v = view_.jump;
    view_.n_features = 3 * S + 1 + C;
    view_.latent = view_.n_features + 1;
    v.n_inputs = view_.latent + 2 * S;
    shares_ = file.f64("surrogate/prepare_shares");
    if (shares_.empty() || shares_.size() > most_shares ||
        !std::all_of(shares_.begin(), shares_.end(), [](double s) { return s > 0; }) ||
        !(std::abs(std::accumulate(shares_.begin(), shares_.end(), 0.0) - 1) < 1e-6))
        refuse(file, "surrogate/prepare_shares must be positive, at most " + std::to_string(most_shares) +
                         ", and their sum 1");
    v.n_shares = static_cast<std::int32_t>(shares_.size());
    v.shares = shares_.data();
    load_experts(file);
    if (inputs(experts_[0]) != v.n_inputs || outputs(experts_[0]) != S)
        refuse(file, "the experts do not fit this network");

    // The nearest centre has the largest centre . c - |centre|^2 / 2.
    const auto centres = file.f32("surrogate/centres");
    if (file.shape("surrogate/centres") != std::vector<std::int64_t>{v.n_experts, S} || !all_finite(centres))
        refuse(file, "surrogate/centres must hold finite numbers, (experts, species)");
    std::vector<float> half_square(v.n_experts);
    for (int e = 0; e < v.n_experts; ++e)
        for (int i = 0; i < S; ++i) half_square[e] -= 0.5f * centres[e * S + i] * centres[e * S + i];
    v.router.n_layers = 1;
    v.router.layers[0] = pack(centres.data(), half_square.data(), v.n_experts, S, packing_.mlp);
    load_reduced(file, view_.latent + Q + (view_.finish.steps > 0 ? S + 1 : 0), v.n_inputs);
}

void Surrogate::load_experts(const ModelFile& file) {
    JumpView& v = view_.jump;
    for (int l = 0; file.has("surrogate/expert_w" + std::to_string(l)); ++l) {
        const std::string w_name = "surrogate/expert_w" + std::to_string(l),
                          b_name = "surrogate/expert_b" + std::to_string(l);
        if (l == max_layers) refuse(file, "surrogate/expert has too many layers");
        const auto shape = file.shape(w_name);
        if (l == 0 && shape.size() == 3 && shape[0] >= 1 && shape[0] <= most_experts)
            experts_.resize(shape[0], {0, Activation::silu, Activation::none, {}});
        const auto n_experts = static_cast<std::int64_t>(experts_.size());
        if (shape.size() != 3 || n_experts == 0 || shape[0] != n_experts || shape[1] < 1 || shape[2] < 1 ||
            file.shape(b_name) != std::vector<std::int64_t>{n_experts, shape[1]} ||
            (l > 0 && shape[2] != outputs(experts_[0])))
            refuse(file, w_name + " does not fit its neighbours");
        const auto w = file.f32(w_name), b = file.f32(b_name);
        if (!all_finite(w) || !all_finite(b)) refuse(file, w_name + " is not finite");
        for (std::int64_t e = 0; e < n_experts; ++e) {
            experts_[e].layers[l] = pack(&w[e * shape[1] * shape[2]], &b[e * shape[1]], static_cast<int>(shape[1]),
                                         static_cast<int>(shape[2]), packing_.expert);
            experts_[e].n_layers = l + 1;
        }
    }
    if (experts_.empty()) refuse(file, "there is no surrogate/expert_w0");
    v.n_experts = static_cast<std::int32_t>(experts_.size());
    v.experts = experts_.data();
}

void Surrogate::load_latent(const ModelFile& file, const NetworkTables& tables) {
    const int S = tables.n_species(), Z = count(file, "surrogate/latent", most_latent);
    LatentView& v = view_.latent_map;
    view_.latent = Z;
    view_.n_features = S;
    const Activation hidden =
        choice(file, "surrogate/activation", {"silu", "tanh"}) ? Activation::tanh : Activation::silu;
    const Activation last = choice(file, "surrogate/output", {"linear", "tanh"}) ? Activation::tanh : Activation::none;
    v.precise = file.has("surrogate/precision") ? choice(file, "surrogate/precision", {"single", "double"}) : 0;
    v.encoder = load_mlp(file, "surrogate/encode", hidden, last);
    v.decoder = load_mlp(file, "surrogate/decode", hidden, last);
    v.dynamics = static_cast<Dynamics>(choice(file, "surrogate/dynamics", {"polynomial", "neural_ode"}));
    int encoded = Z;
    if (v.dynamics == Dynamics::polynomial) {
        v.degree = count(file, "surrogate/degree", most_terms);
        if (file.has("surrogate/directions")) {
            directions_ = file.f32("surrogate/directions");
            if (file.shape("surrogate/directions") != std::vector<std::int64_t>{v.degree, Z} ||
                !all_finite(directions_))
                refuse(file, "surrogate/directions must hold finite numbers, (degree, latent)");
            v.directions = directions_.data();
        } else {
            encoded *= 1 + v.degree;
        }
    } else {
        v.ode = load_mlp(file, "surrogate/ode", Activation::tanh, Activation::none);
        v.ode_scale = static_cast<float>(one_number(file, "surrogate/ode_scale"));
        if (v.ode_scale == 0) refuse(file, "surrogate/ode_scale must not be 0");
        v.ode_steps = count(file, "surrogate/ode_steps", most_ode_steps);
        if (inputs(v.ode) != Z || outputs(v.ode) != Z)
            refuse(file, "the net of the neural ODE does not fit its latent space");
    }
    if (inputs(v.encoder) != S || outputs(v.encoder) != encoded) refuse(file, "the encoder does not fit this network");
    if (inputs(v.decoder) != Z || outputs(v.decoder) != S) refuse(file, "the decoder does not fit this network");
    if (file.has("surrogate/head_w0") || file.has("gate/thresholds"))
        refuse(file, "a latent map has no error head: its box alone decides");

    mean_ = file.f64("surrogate/abundance_mean");
    scale_ = file.f64("surrogate/abundance_scale");
    if (mean_.size() != static_cast<std::size_t>(S) || scale_.size() != mean_.size() || !all_finite(mean_) ||
        !std::all_of(scale_.begin(), scale_.end(), [](double s) { return s > 0 && std::isfinite(s); }))
        refuse(file, "abundance_mean and abundance_scale must be finite, one a species, and the scale positive");
    v.mean = mean_.data();
    v.scale = scale_.data();
    v.n_floor = positive(file, "surrogate/n_floor");
    v.n_ref = positive(file, "surrogate/n_ref");
    const double first = positive(file, "surrogate/time_first"), last_time = positive(file, "surrogate/time_last");
    if (!(last_time > first)) refuse(file, "surrogate/time_last must be later than time_first");
    for (int i = 0; i < S; ++i) {
        middle_.push_back(std::pow(10.0, mean_[i]) / v.n_ref);
        octaves_.push_back(static_cast<float>(scale_[i] * std::log2(10.0)));
    }
    v.middle = middle_.data();
    v.octaves = octaves_.data();
    v.theta_first = v.n_ref * first;
    v.log_span = std::log10(last_time / first);
}

MlpView Surrogate::load_mlp(const ModelFile& file, const std::string& prefix, Activation hidden, Activation last) {
    MlpView net{};
    net.hidden = hidden;
    net.last = last;
    for (; file.has(prefix + "_w" + std::to_string(net.n_layers)); ++net.n_layers) {
        const std::string w_name = prefix + "_w" + std::to_string(net.n_layers),
                          b_name = prefix + "_b" + std::to_string(net.n_layers);
        if (net.n_layers == max_layers) refuse(file, prefix + " has too many layers");
        const auto shape = file.shape(w_name);
        const auto w = file.f32(w_name), b = file.f32(b_name);
        if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || static_cast<std::int64_t>(b.size()) != shape[0] ||
            (net.n_layers > 0 && shape[1] != net.layers[net.n_layers - 1].outputs))
            refuse(file, w_name + " does not fit its neighbours");
        if (!all_finite(w) || !all_finite(b)) refuse(file, w_name + " is not finite");
        net.layers[net.n_layers] =
            pack(w.data(), b.data(), static_cast<int>(shape[0]), static_cast<int>(shape[1]), packing_.mlp);
    }
    if (net.n_layers == 0) refuse(file, "there is no " + prefix + "_w0");
    return net;
}

// Weights (outputs, inputs), as Packing has them.
LayerView Surrogate::pack(const float* weights, const float* bias, int outputs, int inputs, int block) {
    const int padded = padded_to(block, outputs);
    std::vector<float> packed(static_cast<std::size_t>(padded) * inputs, 0.0f), padded_bias(padded, 0.0f);
    for (int o = 0; o < outputs; ++o) {
        padded_bias[o] = bias[o];
        for (int i = 0; i < inputs; ++i)
            packed[packed_at(block, inputs, o, i)] = weights[static_cast<std::size_t>(o) * inputs + i];
    }
    storage_.push_back(std::move(packed));
    storage_.push_back(std::move(padded_bias));
    view_.widest = std::max(view_.widest, padded);
    return {inputs, outputs, storage_[storage_.size() - 2].data(), storage_.back().data()};
}

// The layers of a net that lies in the image at `at`, in other blocks.
void Surrogate::place_layers(Image& image, const MlpView& net, std::size_t at, int from, int to) const {
    const Placed placed(image, net, at);
    for (int l = 0; l < net.n_layers; ++l) {
        const LayerView& layer = net.layers[l];
        const int padded = padded_to(to, layer.outputs);
        std::vector<float> weights(static_cast<std::size_t>(padded) * layer.inputs, 0.0f), bias(padded, 0.0f);
        for (int o = 0; o < layer.outputs; ++o) {
            bias[o] = layer.bias[o];
            for (int i = 0; i < layer.inputs; ++i)
                weights[packed_at(to, layer.inputs, o, i)] = layer.weights[packed_at(from, layer.inputs, o, i)];
        }
        image.link(placed.place(layer.weights), image.add(weights.data(), weights.size()));
        image.link(placed.place(layer.bias), image.add(bias.data(), bias.size()));
    }
}

void Surrogate::place(Image& image, std::size_t at, const Packing& to) const {
    const SurrogateView& v = view_;
    const Placed placed(image, v, at);
    std::int32_t widest = 0;
    const auto count = [&](const MlpView& net, int block) {
        for (int l = 0; l < net.n_layers; ++l) widest = std::max(widest, padded_to(block, net.layers[l].outputs));
    };
    const auto place_net = [&](const MlpView& net) {
        place_layers(image, net, placed.place(net), packing_.mlp, to.mlp);
        count(net, to.mlp);
    };
    for (const MlpView* net : {&v.reduced.head, &v.multi_clock.encoder, &v.multi_clock.decoder, &v.latent_map.encoder,
                               &v.latent_map.decoder, &v.latent_map.ode, &v.jump.router, &v.distance.whiten})
        place_net(*net);
    placed.link(v.reduced.feature_mean, feature_mean_.size());
    placed.link(v.reduced.feature_scale, feature_scale_.size());
    placed.link(v.multi_clock.clock_theta, clock_theta_.size());
    placed.link(v.jump.shares, shares_.size());
    placed.link(v.latent_map.directions, directions_.size());
    placed.link(v.latent_map.mean, mean_.size());
    placed.link(v.latent_map.scale, scale_.size());
    placed.link(v.latent_map.middle, middle_.size());
    placed.link(v.latent_map.octaves, octaves_.size());
    placed.link(v.sides, sides_.size());
    placed.link(v.budget.edges, budget_edges_.size());
    placed.link(v.budget.kappa, kappa_.size());
    if (v.jump.experts) {
        const std::size_t experts = image.add(experts_.data(), experts_.size());
        image.link(placed.place(v.jump.experts), experts);
        for (std::size_t e = 0; e < experts_.size(); ++e) {
            place_layers(image, experts_[e], experts + e * sizeof(MlpView), packing_.expert, to.expert);
            count(experts_[e], to.expert);
        }
    }
    if (v.axes) {
        const std::size_t axes = image.add(axes_.data(), axes_.size());
        image.link(placed.place(v.axes), axes);
        for (std::size_t k = 0; k < axes_.size(); ++k)
            Placed(image, axes_[k], axes + k * sizeof(BinAxis)).link(axes_[k].edges, edges_[k].size());
    }
    image.set(placed.place(v.widest), widest);
}

void Surrogate::load_box(const ModelFile& file, const NetworkTables& tables, const Plan& plan) {
    view_.electron = planned(tables, plan, "e-");
    const auto names = file.lines("gate/box_names");
    const auto low = file.f64("gate/box_min"), high = file.f64("gate/box_max");
    if (low.size() != names.size() || high.size() != names.size())
        refuse(file, "the arrays of the gate's box differ in length");
    for (std::size_t k = 0; k < names.size(); ++k) {
        if (!(low[k] <= high[k])) refuse(file, "the box bounds '" + names[k] + "' by no interval");
        sides_.push_back({quantity_of(file, tables, plan, names[k]), low[k], high[k]});
    }
    view_.n_sides = static_cast<std::int32_t>(sides_.size());
    view_.sides = sides_.data();
}

void Surrogate::load_bins(const ModelFile& file, const NetworkTables& tables, const Plan& plan) {
    if (!file.has("gate/bin_names")) return;
    const auto names = file.lines("gate/bin_names");
    for (std::size_t k = 0; k < names.size(); ++k)
        edges_.push_back(ascending(file, "gate/bin_edges" + std::to_string(k)));
    for (std::size_t k = 0; k < names.size(); ++k)
        axes_.push_back(
            {quantity_of(file, tables, plan, names[k]), static_cast<std::int32_t>(edges_[k].size()), edges_[k].data()});
    view_.n_axes = static_cast<std::int32_t>(axes_.size());
    view_.axes = axes_.data();
}

int Surrogate::bins() const {
    int count = 1;
    for (const BinAxis& axis : axes_) count *= axis.n_edges + 1;
    return count;
}

void Surrogate::load_distance(const ModelFile& file, const NetworkTables& tables) {
    if (!file.has("gate/distance_w0")) return;
    DistanceView& v = view_.distance;
    v.whiten = load_mlp(file, "gate/distance", Activation::none, Activation::none);
    if (v.whiten.n_layers != 1 || inputs(v.whiten) != tables.n_species() + tables.n_conditions() + 2)
        refuse(file, "gate/distance_w0 must be one layer that reads every species, T, the conditions and theta");
    v.x_floor = positive(file, "gate/distance_floor");
    if (v.x_floor < 1e-30) refuse(file, "gate/distance_floor must be 1e-30 at least (logarithms in single precision)");
    v.most = static_cast<float>(positive(file, "gate/distance_most"));
}

void Surrogate::load_budget(const ModelFile& file) {
    if (!file.has("budget/kappa")) return;
    budget_edges_ = ascending(file, "budget/theta_edges");
    kappa_ = file.f64("budget/kappa");
    if (kappa_.size() != budget_edges_.size() + 1 ||
        !std::all_of(kappa_.begin(), kappa_.end(), [](double k) { return k >= 0 && k <= 1; }))
        refuse(file, "budget/kappa must hold numbers between 0 and 1, one more than budget/theta_edges");
    view_.budget = {static_cast<std::int32_t>(budget_edges_.size()), budget_edges_.data(), kappa_.data()};
}

}  // namespace pcs
