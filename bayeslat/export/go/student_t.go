package steptime

import "math"

// studentTQuantile is the quantile of Student's t of scale 1 at a level above 0 and up to 0.5.
//
// Newton's method on the tail, which is convex: from the middle, it comes from one side.
func studentTQuantile(level, dof float64) float64 {
	logScale := logGammaStep(dof/2) - 0.5*math.Log(dof*math.Pi)
	x := 0.0
	for i := 0; i < 200; i++ {
		density := math.Exp(logScale - 0.5*(dof+1)*math.Log1p(x*x/dof))
		step := (studentTTail(x, dof) - level) / density
		x += step
		if math.Abs(step) <= 1e-14*x {
			break
		}
	}
	return -x
}

// studentTTail is the probability beyond x >= 0: half an incomplete beta function.
func studentTTail(x, dof float64) float64 {
	a, b := dof/2, 0.5
	inner := dof / (dof + x*x)
	outer := x * x / (dof + x*x)
	if outer == 0 {
		return 0.5
	}
	// x^a (1 - x)^b / B(a, b)
	front := math.Exp(logGammaStep(a) - 0.5*math.Log(math.Pi) - a*math.Log1p(x*x/dof) + b*math.Log(outer))
	if inner < (a+1)/(a+b+2) {
		return 0.5 * front * betaFraction(inner, a, b) / a
	}
	return 0.5 - 0.5*front*betaFraction(outer, b, a)/b
}

// logGammaStep is log(Gamma(a + 1/2) / Gamma(a)), by its series where the two are large.
func logGammaStep(a float64) float64 {
	if a > 50 {
		return 0.5*math.Log(a) - 1/(8*a) + 1/(192*a*a*a) - 1/(640*math.Pow(a, 5))
	}
	above, _ := math.Lgamma(a + 0.5)
	below, _ := math.Lgamma(a)
	return above - below
}

// betaFraction is the continued fraction of the incomplete beta function (Press et al., Numerical
// Recipes, section 6.4), by the modified method of Lentz.
func betaFraction(x, a, b float64) float64 {
	const tiny = 1e-300
	nonzero := func(value float64) float64 {
		if math.Abs(value) < tiny {
			return tiny
		}
		return value
	}
	c, d := 1.0, 1/nonzero(1-(a+b)*x/(a+1))
	value := d
	for i := 1; i < 10000; i++ {
		m := float64(i)
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/nonzero(1+even*d), nonzero(1+even/c)
		value *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/nonzero(1+odd*d), nonzero(1+odd/c)
		value *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return value
}
