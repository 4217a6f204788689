package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// complete checks what was said, and fills in what follows from it.
func (o *options) complete() error {
	if o.Orders < 1 || o.Rate <= 0 || o.Kills < 0 {
		return fmt.Errorf("--orders and --rate must be above 0, and --kills not below")
	}
	for _, kind := range o.Without {
		if !slices.Contains(kinds(), kind) {
			return fmt.Errorf("--without=%s: there are %s", kind, strings.Join(kinds(), ", "))
		}
	}
	if o.Mutant != "" {
		if _, known := mutants()[o.Mutant]; !known {
			return fmt.Errorf("--mutant=%s: there are %s", o.Mutant, strings.Join(mutantNames(), ", "))
		}
		o.KafkaAlone = true
	}
	if o.KafkaAlone {
		o.Without = slices.DeleteFunc(kinds(), func(kind string) bool { return kind == kindKill || slices.Contains(o.alone(), kind) })
	}
	return o.absolute()
}

// alone are the kinds of faults, besides kills, of a storm that is about Kafka alone
// or about a mutant.
func (o *options) alone() []string {
	if o.Mutant == "" {
		return []string{kindStrand}
	}
	var needed []string
	for _, need := range mutants()[o.Mutant].needs {
		needed = append(needed, need.kind)
	}
	return needed
}

// absolute makes paths absolute: programs have working folders of their own.
func (o *options) absolute() error {
	for _, path := range []*string{&o.Root, &o.Bin, &o.Tools, &o.Dir, &o.Other, &o.Report} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("find folder: %w", err)
		}
		*path = absolute
	}
	return nil
}

// has tells whether faults of a kind are wanted.
func (o *options) has(kind string) bool { return !slices.Contains(o.Without, kind) }

// lasts is how long customers keep coming.
func (o *options) lasts() time.Duration {
	return time.Duration(float64(o.Orders) / o.Rate * float64(time.Second))
}

// Three of a hundred orders see a process die.
const killsPerOrder = 0.03

// kills is how many processes are killed, of so many.
func (o *options) kills(processes int) int {
	if o.Kills > 0 {
		return o.Kills
	}
	return max(2*processes, int(killsPerOrder*float64(o.Orders)))
}

// unpublishedAfter is how long order-recovery waits for an event that its sink isn't
// known to have, since who was to send it died. It is what it is on a cluster.
const unpublishedAfter = 30 * time.Second

// unhandledAfter is how long it waits for one that Kafka has and somebody hasn't
// handled: 10 minutes on a cluster. A storm that makes Kafka forget would have to go
// on for as long.
func (o *options) unhandledAfter() time.Duration {
	if o.KafkaAlone {
		return 24 * time.Hour
	}
	return time.Minute
}
