package main

import (
	"testing"
	"time"
)

func TestADurationIsFoundInItsBucket(t *testing.T) {
	for _, took := range []time.Duration{0, 1, 63, 64, 65, 127, 128, 1_000, 999_999, time.Second, 17 * time.Minute} {
		var h histogram
		h.record(took)
		got := h.quantile(0.5)
		if off := max(got-took, took-got); off > took/fine {
			t.Errorf("%v became %v", took, got)
		}
	}
}

func TestADurationBeyondAllBucketsIsInTheLast(t *testing.T) {
	var h histogram
	h.record(10 * time.Hour)
	if got := h.quantile(1 - 1e-9); got < 18*time.Minute {
		t.Errorf("10 h became %v", got)
	}
}

func TestQuantilesAreThoseOfAllCallers(t *testing.T) {
	var h, other histogram
	for ms := range 100 {
		h.record(time.Duration(ms+1) * time.Millisecond)
		other.record(time.Duration(ms+101) * time.Millisecond)
	}
	h.add(&other)
	for _, test := range []struct {
		q    float64
		want time.Duration
	}{{0.50, 101 * time.Millisecond}, {0.99, 199 * time.Millisecond}} {
		got := h.quantile(test.q)
		if off := max(got-test.want, test.want-got); off > test.want/fine {
			t.Errorf("the quantile %v is %v, want about %v", test.q, got, test.want)
		}
	}
	if got := new(histogram).quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestSharesAddUp(t *testing.T) {
	var sum uint64
	for place := range 64 {
		sum += share(6401, 64, place)
	}
	if sum != 6401 || share(6401, 64, 0) != 101 || share(6401, 64, 63) != 100 {
		t.Errorf("%d calls in all", sum)
	}
}
