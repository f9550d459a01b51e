package steptime

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

type vector struct {
	Batch    Batch     `json:"batch"`
	Features []float64 `json:"features"`
	StepUs   float64   `json:"step_us"`
}

type vectors struct {
	Model   Model     `json:"model"`
	Beta    []float64 `json:"beta"`
	Vectors []vector  `json:"vectors"`
}

func near(found, expected float64) bool {
	return math.Abs(found-expected) <= 1e-9*math.Max(1, math.Abs(expected))
}

// The numbers are those of the Python that exported the coefficients.
func TestVectors(t *testing.T) {
	content, err := os.ReadFile("vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var told vectors
	if err := json.Unmarshal(content, &told); err != nil {
		t.Fatal(err)
	}
	if len(told.Vectors) == 0 {
		t.Fatal("vectors.json holds no vectors")
	}
	for i, each := range told.Vectors {
		features := Features(told.Model, each.Batch)
		if len(features) != len(each.Features) {
			t.Fatalf("vector %d: %d features, not %d", i, len(features), len(each.Features))
		}
		for j, feature := range features {
			if !near(feature, each.Features[j]) {
				t.Errorf("vector %d: feature %d is %v, not %v", i, j, feature, each.Features[j])
			}
		}
		if found := StepTime(told.Beta, told.Model, each.Batch); !near(found, each.StepUs) {
			t.Errorf("vector %d: step time is %v, not %v", i, found, each.StepUs)
		}
	}
}
