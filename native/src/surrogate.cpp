// From the arrays of a model file to packed weights. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/surrogate.hpp"

#include <algorithm>
#include <cmath>

#include "pcs/error.hpp"
#include "pcs/solver.hpp"

namespace pcs {

namespace {

[[noreturn]] void refuse(const ModelFile& file, const std::string& what) {
    throw Error(ErrorCode::file, "model file '" + file.path() + "': " + what + ": train or write the model anew");
}

double scalar(const ModelFile& file, const std::string& name) {
    const auto values = file.f64(name);
    if (values.size() != 1 || !std::isfinite(values[0])) refuse(file, name + " must be one finite number");
    return values[0];
}

int index_of(const std::vector<std::string>& names, const std::string& name) {
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

}  // namespace

Surrogate::Surrogate(const ModelFile& file, const NetworkTables& tables, const Plan& plan) {
    const int S = tables.n_species(), C = tables.n_conditions(), Q = tables.n_conserved();
    if (std::count(tables.law.begin(), tables.law.end(), static_cast<int>(Law::photo)))
        refuse(file, "a surrogate cannot serve photo-reactions (their A_V does not scale with n_H)");
    const auto latent = file.i32("surrogate/latent");
    clock_theta_ = file.f64("surrogate/clock_theta");
    if (latent.size() != 1 || latent[0] < 1) refuse(file, "surrogate/latent must be one positive number");

    SurrogateView& v = view_;
    v.encoder = load_mlp(file, "surrogate/encode");
    v.decoder = load_mlp(file, "surrogate/decode");
    v.head = load_mlp(file, "surrogate/head");
    v.latent = latent[0];
    v.n_clocks = static_cast<std::int32_t>(clock_theta_.size()) + 1;
    v.n_features = 3 * S + 1 + C;
    v.n_head_inputs = v.latent + 2 * S + Q;
    const auto shape = [](const MlpView& m) { return std::pair(m.layers[0].inputs, m.layers[m.n_layers - 1].outputs); };
    if (shape(v.encoder) != std::pair(v.n_features, (1 + v.n_clocks) * v.latent))
        refuse(file, "the encoder does not fit this network");
    if (shape(v.decoder) != std::pair(v.latent + S, S)) refuse(file, "the decoder does not fit this network");
    if (shape(v.head) != std::pair(v.n_head_inputs, 1)) refuse(file, "the error head does not fit this network");

    const int block = kernels().mlp_block;
    for (const MlpView* m : {&v.encoder, &v.decoder, &v.head})
        for (int l = 0; l < m->n_layers; ++l)
            v.widest = std::max(v.widest, (m->layers[l].outputs + block - 1) / block * block);

    v.clock_theta = clock_theta_.data();
    v.clock_theta0 = scalar(file, "surrogate/clock_theta0");
    v.x_floor = scalar(file, "surrogate/x_floor");
    v.x_trace = scalar(file, "surrogate/x_trace");
    if (!(v.clock_theta0 > 0 && v.x_floor > 0 && v.x_trace > 0))
        refuse(file, "clock_theta0, x_floor and x_trace must be positive");
    feature_mean_ = file.f32("surrogate/feature_mean");
    feature_scale_ = file.f32("surrogate/feature_std");
    if (feature_mean_.size() != static_cast<std::size_t>(v.n_features) || feature_scale_.size() != feature_mean_.size())
        refuse(file, "feature_mean and feature_std do not fit this network");
    for (float& s : feature_scale_) {
        if (!(s > 0)) refuse(file, "feature_std must be positive");
        s = 1.0f / s;
    }
    v.feature_mean = feature_mean_.data();
    v.feature_scale = feature_scale_.data();

    load_box(file, tables);
    v.threshold = scalar(file, "gate/threshold");
    const int electron = index_of(tables.species, "e-");
    const std::int32_t* order = plan.view().order;
    v.electron = electron < 0 ? -1 : static_cast<std::int32_t>(std::find(order, order + S, electron) - order);
}

MlpView Surrogate::load_mlp(const ModelFile& file, const std::string& prefix) {
    const int block = kernels().mlp_block;
    MlpView net{};
    for (; file.has(prefix + "_w" + std::to_string(net.n_layers)); ++net.n_layers) {
        const std::string w_name = prefix + "_w" + std::to_string(net.n_layers),
                          b_name = prefix + "_b" + std::to_string(net.n_layers);
        if (net.n_layers == max_layers) refuse(file, prefix + " has too many layers");
        const auto shape = file.shape(w_name);
        const auto w = file.f32(w_name), b = file.f32(b_name);
        if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || static_cast<std::int64_t>(b.size()) != shape[0] ||
            (net.n_layers > 0 && shape[1] != net.layers[net.n_layers - 1].outputs))
            refuse(file, w_name + " does not fit its neighbours");
        const auto finite = [](float value) { return std::isfinite(value); };
        if (!std::all_of(w.begin(), w.end(), finite) || !std::all_of(b.begin(), b.end(), finite))
            refuse(file, w_name + " is not finite");
        const int outputs = static_cast<int>(shape[0]), inputs = static_cast<int>(shape[1]);
        const int padded = (outputs + block - 1) / block * block;
        std::vector<float> packed(static_cast<std::size_t>(padded) * inputs, 0.0f), bias(padded, 0.0f);
        for (int o = 0; o < outputs; ++o) {
            bias[o] = b[o];
            for (int i = 0; i < inputs; ++i)
                packed[(static_cast<std::size_t>(o / block) * inputs + i) * block + o % block] =
                    w[static_cast<std::size_t>(o) * inputs + i];
        }
        storage_.push_back(std::move(packed));
        storage_.push_back(std::move(bias));
        net.layers[net.n_layers] = {inputs, outputs, storage_[storage_.size() - 2].data(), storage_.back().data()};
    }
    if (net.n_layers == 0) refuse(file, "there is no " + prefix + "_w0");
    return net;
}

void Surrogate::load_box(const ModelFile& file, const NetworkTables& tables) {
    const auto names = file.lines("gate/box_names");
    const auto low = file.f64("gate/box_min"), high = file.f64("gate/box_max");
    if (low.size() != names.size() || high.size() != names.size())
        refuse(file, "the arrays of the gate's box differ in length");
    for (std::size_t k = 0; k < names.size(); ++k) {
        const std::string& name = names[k];
        const auto slash = name.find('/');
        const std::string first = name.substr(0, slash), second = slash == name.npos ? "" : name.substr(slash + 1);
        BoxSide side{BoxKind::temperature, 0, 0, low[k], high[k]};
        if (name == "theta") {
            side.kind = BoxKind::theta;
        } else if (name == "net_charge/n_e") {
            side.kind = BoxKind::net_charge;
            side.index = tables.n_conserved() - 1;
            side.other = index_of(tables.species, "e-");
        } else if (second == "n_H") {
            side.kind = BoxKind::condition_per_density;
            side.index = index_of(tables.conditions, first);
        } else if (name.ends_with("*dt")) {
            side.kind = BoxKind::condition_times_dt;
            side.index = index_of(tables.conditions, name.substr(0, name.size() - 3));
        } else if (name != "T") {
            side.kind = BoxKind::element_ratio;
            side.index = index_of(tables.conserved, first);
            side.other = index_of(tables.conserved, second);
        }
        if (side.index < 0 || side.other < 0)
            refuse(file, "the box bounds '" + name + "', which this network does not have");
        sides_.push_back(side);
    }
    view_.n_sides = static_cast<std::int32_t>(sides_.size());
    view_.sides = sides_.data();
}

}  // namespace pcs
