package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The kinds of faults.
const (
	kindKill      = "kill"
	kindStrand    = "strand"    // the dispatcher dies while a function is away and events wait for it
	kindDuplicate = "duplicate" // each delivery twice at once, and once more later
	kindReorder   = "reorder"   // each delivery late by another time
	kindDelay     = "delay"     // deliveries are held back, then all come at once
	kindReplay    = "replay"    // every topic from offset 0, for every reader
	kindLostTail  = "lost-tail" // the broker dies and has lost the end of its log
	kindRefuse    = "refuse"    // an outside system answers with errors
	kindLoseReply = "lose-answer"
	kindSilence   = "silence"       // no answer in time, and no effect
	kindLate      = "silence-after" // no answer in time, but the effect
	kindGarbage   = "garbage"       // an answer that makes no sense
	kindCut       = "cut"           // connections are reset
	kindHalfOpen  = "half-open"     // connections stay open, and nothing comes through
	kindSlow      = "slow"
	kindDisk      = "disk-full"
	kindClock     = "clock"
	kindUpgrade   = "upgrade"
)

const everyFunction = "every function"

// kinds lists all kinds, in the order of the report.
func kinds() []string {
	return []string{
		kindKill, kindStrand, kindDuplicate, kindReorder, kindDelay, kindReplay, kindLostTail, kindRefuse, kindLoseReply, kindSilence, kindLate,
		kindGarbage, kindCut, kindHalfOpen, kindSlow, kindDisk, kindClock, kindUpgrade,
	}
}

// fault is one fault of the plan.
type fault struct {
	Kind   string
	Target string
	// At is when it is due, after the first customer came.
	At time.Duration
	// For is how long it lasts, where it isn't over at once.
	For time.Duration
	// Number is for whatever else the fault needs to choose.
	Number uint64
}

// targets are what the system has that faults can strike, each list sorted: the
// plan is to be the same for the same seed.
type targets struct {
	processes []string
	functions []string
	readers   []string // functions that events come to
	outside   []link   // calls of functions to the provider, the mailbox and S3
	links     []link   // connections that orders go by
}

// schedule is the plan of a storm: lanes of faults, each of which goes on beside
// the others. It follows from the options and the targets alone.
func schedule(o options, on targets) [][]fault {
	random := rand.New(rand.NewPCG(o.Seed, 1)) //nolint:gosec // a plan that can be had again
	lanes := slices.DeleteFunc([][]fault{killLane(o, on, random), faultLane(o, on, random)}, func(lane []fault) bool { return len(lane) == 0 })
	if o.has(kindUpgrade) {
		lanes = append(lanes, []fault{{Kind: kindUpgrade, Target: everyFunction, At: o.lasts() / 4, Number: random.Uint64()}})
	}
	return lanes
}

// killLane kills every process in turn, in another order each round.
func killLane(o options, on targets, random *rand.Rand) []fault {
	if !o.has(kindKill) {
		return nil
	}
	victims := slices.Clone(on.processes)
	if o.KafkaAlone {
		victims = append(slices.Clone(on.functions), processSource, processSource, processSource)
	}
	number := o.kills(len(victims))
	names := shuffled(random, victims, number)
	lane := make([]fault, 0, number)
	for i, at := range moments(random, number, o.lasts()) {
		lane = append(lane, fault{Kind: kindKill, Target: names[i], At: at, Number: random.Uint64()})
	}
	return lane
}

const (
	// faultEvery is about how often another fault begins, at the least.
	faultEvery    = 6 * time.Second
	shortestFault = time.Second
	longestFault  = 6 * time.Second
)

// mutantLane has what a mutant needs by turns, each at least twice. At the end the
// dispatcher dies once more: whatever it still tries it begins anew, so that what is
// lost can be told from what is late without waiting until a KafkaSource gives up.
func mutantLane(o options, random *rand.Rand) []fault {
	needs := mutants()[o.Mutant].needs
	number := max(2*len(needs), int(o.lasts()/faultEvery)) //nolint:mnd // twice
	lane := make([]fault, 0, number+1)
	for i, at := range moments(random, number, o.lasts()) {
		need := needs[i%len(needs)]
		lane = append(lane, fault{Kind: need.kind, Target: need.target, At: at, Number: random.Uint64(), For: duration(random)})
	}
	return append(lane, fault{Kind: kindKill, Target: processSource, At: o.lasts() + committed, Number: random.Uint64()})
}

// faultLane has every other kind in turn, in another order each round.
func faultLane(o options, on targets, random *rand.Rand) []fault {
	if o.Mutant != "" {
		return mutantLane(o, random)
	}
	wanted := slices.DeleteFunc(kinds(), func(kind string) bool { return kind == kindKill || kind == kindUpgrade || !o.has(kind) })
	if len(wanted) == 0 {
		return nil
	}
	number := max(len(wanted), int(o.lasts()/faultEvery))
	lane := make([]fault, 0, number)
	chosen := shuffled(random, wanted, number)
	for i, at := range moments(random, number, o.lasts()) {
		kind := chosen[i]
		lane = append(lane, fault{
			Kind: kind, Target: on.choose(kind, random), At: at, Number: random.Uint64(),
			For: duration(random),
		})
	}
	return lane
}

func duration(random *rand.Rand) time.Duration {
	return shortestFault + time.Duration(random.Int64N(int64(longestFault-shortestFault)))
}

// choose finds what a fault of a kind strikes.
func (on targets) choose(kind string, random *rand.Rand) string {
	switch kind {
	case kindReplay:
		return "every topic"
	case kindLostTail:
		return processBroker
	case kindDisk:
		return "state folder"
	case kindRefuse, kindLoseReply, kindSilence, kindLate, kindGarbage:
		return pick(random, on.outside).String()
	case kindCut, kindHalfOpen, kindSlow:
		return pick(random, on.links).String()
	case kindStrand, kindDuplicate, kindReorder, kindDelay:
		return pick(random, on.readers)
	case kindUpgrade:
		return everyFunction
	default:
		return pick(random, on.functions)
	}
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// shuffled is a list of a length in which each round has all of them in an order
// of its own.
func shuffled(random *rand.Rand, all []string, length int) []string {
	var list []string
	for len(list) < length {
		round := slices.Clone(all)
		random.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		list = append(list, round...)
	}
	return list[:length]
}

// moments spreads a number of moments over a time: one in each part of it.
func moments(random *rand.Rand, number int, over time.Duration) []time.Duration {
	all := make([]time.Duration, number)
	part := over / time.Duration(max(1, number))
	for i := range all {
		all[i] = time.Duration(i)*part + time.Duration(random.Float64()*float64(part))
	}
	return all
}
