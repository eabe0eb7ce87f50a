package main

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// pin keeps the whole process on the first so many cores. The runtime has started threads by the
// time main runs, which a change of affinity would not reach; so one thread pins itself and becomes
// this program anew, and all later threads inherit.
func pin(cores int) error {
	var want, have unix.CPUSet
	for core := range cores {
		want.Set(core)
	}
	if err := unix.SchedGetaffinity(0, &have); err != nil {
		return err
	}
	if have == want {
		return nil
	}
	runtime.LockOSThread()
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return err
	}
	// What the system grants may be less than what was asked: asking again would not end.
	if err := unix.SchedGetaffinity(0, &have); err != nil || have != want {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(program, os.Args, os.Environ())
}
