package main

import (
	"math/bits"
	"time"
)

const (
	// Each power of two has so many buckets of equal width, so a bucket is at most 1/64 of its
	// value wide.
	fineBits = 6
	fine     = 1 << fineBits
	// 2^40 ns are 18 minutes; longer is counted there.
	coarse = 40 - fineBits
)

// histogram counts durations without allocating.
type histogram struct {
	buckets [(coarse + 1) * fine]uint32
	count   uint64
}

func (h *histogram) record(took time.Duration) {
	h.buckets[bucket(uint64(max(took, 0)))]++
	h.count++
}

func (h *histogram) add(other *histogram) {
	for place, count := range other.buckets {
		h.buckets[place] += count
	}
	h.count += other.count
}

// quantile is the middle of the bucket that the q-th part of the durations ends in; 0 of nothing.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	for place, count := range h.buckets {
		if rank < uint64(count) {
			return middle(place)
		}
		rank -= uint64(count)
	}
	return 0
}

func bucket(ns uint64) int {
	if ns < fine {
		return int(ns)
	}
	shift := bits.Len64(ns) - 1 - fineBits
	if shift >= coarse {
		return (coarse+1)*fine - 1
	}
	return (shift+1)*fine + int(ns>>shift) - fine
}

func middle(bucket int) time.Duration {
	if bucket < fine {
		return time.Duration(bucket)
	}
	shift := bucket/fine - 1
	low := uint64(fine+bucket%fine) << shift
	return time.Duration(low + (1<<shift)/2)
}
