// The surrogate of a model file, packed for the kernels. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pcs/calibration.hpp"
#include "pcs/model_file.hpp"
#include "pcs/plan.hpp"
#include "pcs/surrogate_view.hpp"

namespace pcs {

class Image;

// In what blocks of outputs the weights of a layer lie: [block of outputs][input][output in the block], zero padded.
struct Packing {
    int mlp, expert;
};
constexpr Packing device_packing{16, 32};  // native/cuda/packing.hpp

class Surrogate {
  public:
    // Throws Error (file) where an array is missing or does not fit the others.
    Surrogate(const ModelFile& file, const NetworkTables& tables, const Plan& plan);
    Surrogate(const Surrogate&) = delete;
    Surrogate& operator=(const Surrogate&) = delete;

    const SurrogateView& view() const { return view_; }
    // The arrays of a view that lies in the image at `at`, with weights packed otherwise.
    void place(Image& image, std::size_t at, const Packing& packing) const;
    int bins() const;
    // Null where the box alone decides; null where every cell meets the surrogate first.
    const Calibration* calibration() const { return calibration_.get(); }
    const RouterTable* router() const { return router_.get(); }

  private:
    void load_finish(const ModelFile& file);
    void load_multi_clock(const ModelFile& file, const NetworkTables& tables);
    void load_jump(const ModelFile& file, const NetworkTables& tables);
    void load_experts(const ModelFile& file);
    void load_latent(const ModelFile& file, const NetworkTables& tables);
    void load_reduced(const ModelFile& file, int n_head_inputs, int n_features);
    MlpView load_mlp(const ModelFile& file, const std::string& prefix, Activation hidden, Activation last);
    void place_layers(Image& image, const MlpView& net, std::size_t at, int from, int to) const;
    LayerView pack(const float* weights, const float* bias, int outputs, int inputs, int block);
    void load_box(const ModelFile& file, const NetworkTables& tables, const Plan& plan);
    void load_bins(const ModelFile& file, const NetworkTables& tables, const Plan& plan);
    void load_distance(const ModelFile& file, const NetworkTables& tables);
    void load_budget(const ModelFile& file);

    Packing packing_;
    std::vector<std::vector<float>> storage_;  // packed weights and biases
    std::vector<double> clock_theta_, mean_, scale_, middle_, shares_;
    std::vector<float> feature_mean_, feature_scale_, directions_, octaves_;
    std::vector<MlpView> experts_;
    std::vector<BoxSide> sides_;
    std::vector<BinAxis> axes_;
    std::vector<std::vector<double>> edges_;  // of the axes
    std::vector<double> budget_edges_, kappa_;
    std::unique_ptr<Calibration> calibration_;
    std::unique_ptr<RouterTable> router_;
    SurrogateView view_{};
};

}  // namespace pcs
