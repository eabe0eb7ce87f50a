package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// report is what is answered. Allocations that were not counted are nil.
type report struct {
	Calls          uint64  `json:"calls"`
	WallNs         int64   `json:"wall_ns"`
	CPUNs          int64   `json:"cpu_ns"`
	Allocations    *uint64 `json:"allocations"`
	AllocatedBytes *uint64 `json:"allocated_bytes"`
	P50Ns          int64   `json:"p50_ns"`
	P99Ns          int64   `json:"p99_ns"`
	RSSBytes       uint64  `json:"rss_bytes"`
}

// measure reports what some calls took of this process, the collector's work within that time
// included.
func measure(count bool, calls func() (outcome, error)) (report, error) {
	var before, after runtime.MemStats
	if count {
		runtime.ReadMemStats(&before)
	}
	used, err := cpu()
	if err != nil {
		return report{}, err
	}
	outcome, err := calls()
	if err != nil {
		return report{}, err
	}
	now, err := cpu()
	if err != nil {
		return report{}, err
	}
	resident, err := rss()
	if err != nil {
		return report{}, err
	}
	report := report{
		Calls:    outcome.calls,
		WallNs:   outcome.wall.Nanoseconds(),
		CPUNs:    (now - used).Nanoseconds(),
		P50Ns:    outcome.latencies.quantile(0.50).Nanoseconds(),
		P99Ns:    outcome.latencies.quantile(0.99).Nanoseconds(),
		RSSBytes: resident,
	}
	if count {
		runtime.ReadMemStats(&after)
		allocations, bytes := after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
		report.Allocations, report.AllocatedBytes = &allocations, &bytes
	}
	return report, nil
}

// idle reports what this process holds while nothing is called.
func idle() (report, error) {
	resident, err := rss()
	return report{RSSBytes: resident}, err
}

// cpu is what all threads have used of their cores, user and kernel.
func cpu() (time.Duration, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// rss is the memory that this process holds in RAM.
func rss() (uint64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	return resident * uint64(os.Getpagesize()), nil
}
