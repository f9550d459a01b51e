// Package steptime computes the time of an engine step from exported coefficients: the dot product
// of coefficients and features, without any dependency. Where queueing.go stands beside it, so does
// it with the delay of a request before its first step.
//
// The features of a step are those of the BLIS simulator's latency backend "trained-physics", in microseconds
// at the peaks of the data sheet, for one data-parallel replica.
package steptime

import "math"

// Model is a model on a GPU.
type Model struct {
	Layers           float64 `json:"layers"`
	Hidden           float64 `json:"hidden"`
	Heads            float64 `json:"heads"`
	KVHeads          float64 `json:"kv_heads"`
	Intermediate     float64 `json:"intermediate"`
	Experts          float64 `json:"experts"`
	ExpertsPerToken  float64 `json:"experts_per_token"`
	MoEIntermediate  float64 `json:"moe_intermediate"`
	WeightBytes      float64 `json:"weight_bytes"`
	TensorParallel   float64 `json:"tensor_parallel"`
	TFlops           float64 `json:"tflops"`
	MemBandwidthTBps float64 `json:"mem_bw_TBps"`
}

// Batch is what one step computes. Prompts attend to what the coefficients were fitted to: to what
// came before, or, with --whole-prompts, to what BLIS counts.
type Batch struct {
	PrefillRequests       float64 `json:"prefill_requests"`
	PrefillTokens         float64 `json:"prefill_tokens"`
	PrefillAttendedTokens float64 `json:"prefill_attended_tokens"`
	DecodeRequests        float64 `json:"decode_requests"`
	DecodeContextTokens   float64 `json:"decode_context_tokens"`
}

// Features of a batch, in the order of the exported beta coefficients.
func Features(m Model, b Batch) []float64 {
	flopsPerUs, bytesPerUs := m.TFlops*1e6, m.MemBandwidthTBps*1e6
	headDim := math.Floor(m.Hidden / m.Heads)
	kvDim := m.KVHeads * headDim
	width, stored := m.Intermediate, m.Intermediate
	if m.Experts > 1 {
		width, stored = m.ExpertsPerToken*m.MoEIntermediate, m.Experts*m.MoEIntermediate
	}
	attention := m.Hidden * (2*m.Hidden + 2*kvDim)
	compute := func(tokens, attended float64) float64 {
		linear := (2*attention + 6*m.Hidden*width) * tokens
		return m.Layers * (linear + 4*m.Heads*headDim*attended) / m.TensorParallel / flopsPerUs
	}
	tokens := b.PrefillTokens + b.DecodeRequests
	weights := m.WeightBytes * m.Layers * (attention + 3*m.Hidden*stored) / m.TensorParallel
	sent := 4 * math.Max(m.WeightBytes, 2) * m.Layers * tokens * m.Hidden * (m.TensorParallel - 1) / m.TensorParallel
	kvBytes := 4 * m.Layers * kvDim / m.TensorParallel
	return []float64{
		compute(b.PrefillTokens, b.PrefillAttendedTokens),
		compute(b.DecodeRequests, b.DecodeContextTokens),
		weights / bytesPerUs,
		sent / bytesPerUs,
		m.Layers,
		b.PrefillRequests + b.DecodeRequests,
		1,
		0, // layers with experts among dense ones
		kvBytes * b.PrefillTokens / bytesPerUs,
		kvBytes * (b.DecodeContextTokens + b.DecodeRequests) / bytesPerUs,
		0, // dispatch between data-parallel replicas
	}
}

// DotProduct of coefficients and features of the same length.
func DotProduct(coefficients, features []float64) float64 {
	sum := 0.0
	for i, coefficient := range coefficients {
		sum += coefficient * features[i]
	}
	return sum
}

// StepTime of a batch in microseconds.
func StepTime(beta []float64, m Model, b Batch) float64 {
	return DotProduct(beta, Features(m, b))
}
