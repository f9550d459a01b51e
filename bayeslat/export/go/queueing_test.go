package steptime

import (
	"encoding/json"
	"os"
	"testing"
)

type queueingVector struct {
	State    State     `json:"state"`
	Hurdle   []float64 `json:"hurdle"`
	TermsMs  []float64 `json:"terms_ms"`
	Residual []float64 `json:"residual"`
	Chance   float64   `json:"chance"`
	Typical  float64   `json:"typical_ms"`
	Delay    float64   `json:"delay_ms"`
}

func read(t *testing.T, path string, into interface{}) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

// The numbers are those of the Python that exported the coefficients.
func TestQueueing(t *testing.T) {
	var q Queueing
	var vectors []queueingVector
	read(t, "queueing.json", &q)
	read(t, "queueing_vectors.json", &vectors)
	if len(vectors) == 0 {
		t.Fatal("queueing_vectors.json holds no vectors")
	}
	for i, each := range vectors {
		told := [][]float64{each.Hurdle, each.TermsMs, each.Residual, {each.Chance, each.Typical, 1000 * each.Delay}}
		found := [][]float64{
			q.HurdleFeatures(each.State),
			q.PhysicsFeatures(each.State),
			q.ResidualFeatures(each.State),
			{q.Chance(each.State), q.TypicalMs(each.State), q.QueueingTime(each.State)},
		}
		for level := range told {
			if len(found[level]) != len(told[level]) {
				t.Fatalf("vector %d, level %d: %d numbers, not %d", i, level, len(found[level]), len(told[level]))
			}
			for j := range told[level] {
				if !near(found[level][j], told[level][j]) {
					t.Errorf("vector %d, level %d: number %d is %v, not %v", i, level, j, found[level][j], told[level][j])
				}
			}
		}
	}
}
