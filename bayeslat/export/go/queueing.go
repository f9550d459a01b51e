package steptime

import "math"

// State is what a request meets, its own prompt among it.
type State struct {
	Running             float64 `json:"running"`
	Waiting             float64 `json:"waiting"`
	WaitingPromptTokens float64 `json:"waiting_prompt_tokens"`
	KVUsage             float64 `json:"kv_usage"`
	PromptTokens        float64 `json:"prompt_tokens"`
	PrefillTokens       float64 `json:"prefill_tokens"`
}

// Span is a training range.
type Span struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Queueing is the delay of a request until it is scheduled, as queueing.json has it: the effects are
// the posterior mean, on the log of the delay and on the logit of the chance to wait.
type Queueing struct {
	Server struct {
		MaxNumSeqs          float64 `json:"max_num_seqs"`
		MaxNumBatchedTokens float64 `json:"max_num_batched_tokens"`
		KVBlocks            float64 `json:"kv_blocks"`
		KVBlockTokens       float64 `json:"kv_block_tokens"`
	} `json:"server"`
	// Whether a request waits at all: a logistic regression.
	Hurdle struct {
		Spans        []Span    `json:"spans"`
		Coefficients []float64 `json:"coefficients"`
		BelowMs      float64   `json:"below_ms"` // the delay of one that does not
	} `json:"hurdle"`
	// How long, if it does: times at the data sheet's peaks.
	Physics struct {
		UnitMs       []float64 `json:"unit_ms"` // of a prompt token, a place, a full cache, a step
		Coefficients []float64 `json:"coefficients"`
	} `json:"physics"`
	// And a smooth correction of its log, which beyond the training range stays as at its edge.
	Residual struct {
		State        map[string]Span `json:"state"`
		HeldUnitMs   []float64       `json:"held_unit_ms"`
		Spans        []Span          `json:"spans"`
		Exponents    [][]float64     `json:"exponents"`
		Coefficients []float64       `json:"coefficients"`
	} `json:"residual"`
	// The log of the scale of the Student-t noise of the log.
	Noise struct {
		Dof          float64   `json:"dof"`
		Coefficients []float64 `json:"coefficients"`
	} `json:"noise"`
}

// HurdleFeatures of a state: a constant, and features on [-1, 1].
func (q Queueing) HurdleFeatures(s State) []float64 {
	server := q.Server
	needed := (s.WaitingPromptTokens + s.PromptTokens) / (server.KVBlocks * server.KVBlockTokens)
	raw := []float64{
		flag(s.Waiting > 0),
		flag(s.Running+s.Waiting >= server.MaxNumSeqs),
		flag(s.KVUsage+needed > 1),
		flag(s.WaitingPromptTokens+s.PrefillTokens >= server.MaxNumBatchedTokens),
		s.KVUsage,
		s.Running / server.MaxNumSeqs,
	}
	features := []float64{1}
	for i, span := range q.Hurdle.Spans {
		half := 1.0
		if span.High > span.Low {
			half = 0.5 * (span.High - span.Low)
		}
		features = append(features, (span.hold(raw[i])-span.middle())/half)
	}
	return features
}

// PhysicsFeatures of a state, in ms: prompts and places that come first, the cache, and a step.
func (q Queueing) PhysicsFeatures(s State) []float64 {
	return termsMs(q.Physics.UnitMs, s)
}

// ResidualFeatures of a state: shares of the terms, the same at the edge of the training range, and
// powers and products of features on [-1, 1].
func (q Queueing) ResidualFeatures(s State) []float64 {
	edge := q.held(s)
	features := q.shares(q.PhysicsFeatures(s))
	features = append(features, q.shares(termsMs(q.Residual.HeldUnitMs, edge))...)
	scaled := q.scaled(edge)
	for _, powers := range q.Residual.Exponents {
		product := 1.0
		for i, power := range powers {
			product *= math.Pow(scaled[i], power)
		}
		features = append(features, product)
	}
	return features
}

// Chance that a request waits at all.
func (q Queueing) Chance(s State) float64 {
	return 1 / (1 + math.Exp(-DotProduct(q.Hurdle.Coefficients, q.HurdleFeatures(s))))
}

// TypicalMs is the median delay of requests that wait, in ms.
func (q Queueing) TypicalMs(s State) float64 {
	physics := DotProduct(q.Physics.Coefficients, q.PhysicsFeatures(s))
	return physics * math.Exp(DotProduct(q.Residual.Coefficients, q.ResidualFeatures(s)))
}

// QueueingTime is the median delay of all requests, in microseconds: where more than half of them
// wait, a low quantile of those.
func (q Queueing) QueueingTime(s State) float64 {
	chance := q.Chance(s)
	if !(chance > 0.5) {
		return 1000 * q.Hurdle.BelowMs
	}
	features := []float64{1}
	scaled := q.scaled(q.held(s))
	features = append(features, scaled...)
	for _, feature := range scaled {
		features = append(features, feature*feature)
	}
	scale := math.Exp(DotProduct(q.Noise.Coefficients, features))
	level := math.Min(math.Max(1-0.5/chance, 1e-9), 0.5)
	return 1000 * q.TypicalMs(s) * math.Exp(scale*studentTQuantile(level, q.Noise.Dof))
}

func termsMs(unitMs []float64, s State) []float64 {
	return []float64{
		unitMs[0] * (s.WaitingPromptTokens + s.PrefillTokens),
		unitMs[1] * (s.Waiting + 1),
		unitMs[2] * s.KVUsage,
		unitMs[3],
	}
}

// shares of the terms in the time that they make up together.
func (q Queueing) shares(terms []float64) []float64 {
	total := DotProduct(q.Physics.Coefficients, terms)
	shares := make([]float64, len(terms))
	for i, term := range terms {
		shares[i] = q.Physics.Coefficients[i] * term / total
	}
	return shares
}

// held brings a state to the edge of the training range.
func (q Queueing) held(s State) State {
	at := q.Residual.State
	return State{
		Running:             at["running"].hold(s.Running),
		Waiting:             at["waiting"].hold(s.Waiting),
		WaitingPromptTokens: at["waiting_prompt_tokens"].hold(s.WaitingPromptTokens),
		KVUsage:             at["kv_usage"].hold(s.KVUsage),
		PromptTokens:        at["prompt_tokens"].hold(s.PromptTokens),
		PrefillTokens:       at["prefill_tokens"].hold(s.PrefillTokens),
	}
}

// scaled features of the residual, on [-1, 1] over their training range.
func (q Queueing) scaled(s State) []float64 {
	raw := []float64{
		math.Log(1 + s.Waiting),
		s.KVUsage,
		math.Log(1 + s.WaitingPromptTokens),
		math.Log(1 + s.PromptTokens),
	}
	scaled := make([]float64, len(raw))
	for i, span := range q.Residual.Spans {
		half := 0.5 * (span.High - span.Low)
		if half > 1e-12*math.Max(math.Abs(span.High), 1) {
			scaled[i] = (span.hold(raw[i]) - span.middle()) / half
		} else if math.Abs(raw[i]-span.Low) > 1e-9 { // it never moved
			scaled[i] = math.Copysign(1, raw[i]-span.middle())
		}
	}
	return scaled
}

func (s Span) hold(value float64) float64 {
	return math.Min(math.Max(value, s.Low), s.High)
}

func (s Span) middle() float64 {
	return 0.5 * (s.High + s.Low)
}

func flag(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
