package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// chaos is a storm over a system.
type chaos struct {
	options options
	system  *system
	network *network
	tally   *tally
	out     io.Writer
	report  *report

	background sync.WaitGroup
	disk       bool
	keep       bool
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// prepare builds what is needed and starts the system.
func prepare(ctx context.Context, o options, out io.Writer) (*chaos, error) {
	system, err := newSystem(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &chaos{options: o, system: system, tally: newTally(), out: out, report: &report{options: o}}
	if err := s.begin(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *chaos) begin(ctx context.Context) error {
	if s.options.has(kindDisk) {
		if err := mountDisk(s.system.state()); err != nil {
			return err
		}
		s.disk = true
	}
	if err := s.buildPrograms(ctx); err != nil {
		return err
	}
	var through string
	var err error
	if s.network, through, err = openNetwork(s.system, s.options.Seed); err != nil {
		return err
	}
	s.sayf("starting the system in %s", s.system.dir)
	return s.system.start(ctx, through)
}

func (s *chaos) buildPrograms(ctx context.Context) error {
	if s.options.Mutant != "" {
		s.sayf("building the mutant %s", s.options.Mutant)
		return mutants()[s.options.Mutant].build(ctx, s.system)
	}
	var replaced replacements
	var err error
	if s.options.has(kindClock) {
		if replaced, err = skewable(ctx); err != nil {
			return err
		}
		s.sayf("building functions whose clock can be set; the first time compiles everything anew")
		if err := s.system.build(ctx, replaced, "function", s.system.bin("function")); err != nil {
			return err
		}
	}
	if s.options.has(kindUpgrade) {
		return s.prepareUpgrade(ctx, replaced)
	}
	return nil
}

func (s *chaos) sayf(format string, args ...any) {
	fmt.Fprintf(s.out, time.Now().UTC().Format("15:04:05 ")+format+"\n", args...)
}

// close ends everything, and removes the data unless something was found in them.
func (s *chaos) close() {
	s.system.stop()
	s.background.Wait()
	if s.network != nil {
		s.network.close()
	}
	if s.keep && s.disk {
		// The disk goes with this process.
		kept := filepath.Join(s.system.dir, "state.kept")
		if out, err := exec.Command("cp", "-a", s.system.state(), kept).CombinedOutput(); err != nil { //nolint:noctx // it is the end
			s.sayf("the state could not be kept: %v: %s", err, out)
		}
	}
	if s.disk {
		unmountDisk(s.system.state())
	}
	if !s.keep {
		_ = os.RemoveAll(s.system.dir)
	}
}

// run has the storm go over the system, and looks what is left.
func (s *chaos) run(ctx context.Context) error {
	began := time.Now()
	var err error
	if s.options.Rehearse {
		err = s.rehearse(ctx)
	}
	if err == nil {
		err = s.blow(ctx)
	}
	if err == nil {
		err = s.inspect(ctx)
	}
	if err != nil && !errors.Is(err, errViolated) {
		s.keep = ctx.Err() == nil
		return err
	}
	s.report.took = time.Since(began)
	s.report.tally = s.tally
	s.report.duplicates = countDuplicates(s.system)
	if err != nil {
		s.keep = true
		s.report.kept = s.system.dir
	}
	s.report.text(s.out)
	return errors.Join(err, s.report.save())
}

// blow has customers order while the faults of the plan happen. It ends when the
// last order has come to its end, or with the first violation.
func (s *chaos) blow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	links, outside := s.system.links()
	on := targets{processes: s.system.processes(), functions: s.system.functions, readers: s.system.readers(), links: busy(links), outside: outside}
	lanes := schedule(s.options, on)
	s.report.planned = lanes
	s.sayf("%d orders at %g a second, seed %d: %s of storm", s.options.Orders, s.options.Rate, s.options.Seed, s.options.lasts().Round(time.Second))

	customers := make(chan error, 1)
	go func() { customers <- s.customers(ctx) }()
	weather, calm := context.WithCancel(ctx)
	defer calm()
	began := time.Now()
	var blowing, rolling sync.WaitGroup
	for _, lane := range lanes {
		if lane[0].Kind == kindUpgrade { // what was begun is brought to its end
			rolling.Go(func() { s.follow(ctx, lane, began) })
			continue
		}
		blowing.Go(func() { s.follow(weather, lane, began) })
	}
	blowing.Go(func() { s.auditEvery(weather, cancel) })
	if !s.options.KafkaAlone {
		blowing.Go(func() { s.operate(weather) })
	}
	err := <-customers
	rolling.Wait()
	calm()
	blowing.Wait()
	if err == nil && s.report.violated() {
		return errViolated
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, errViolated) {
		return cause
	}
	return err
}

// follow carries out a lane of the plan.
func (s *chaos) follow(ctx context.Context, lane []fault, began time.Time) {
	for _, f := range lane {
		if !pause(ctx, time.Until(began.Add(f.At))) {
			return
		}
		met, err := s.strike(ctx, f)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.tally.note(fmt.Sprintf("%s of %s: %v", f.Kind, f.Target, err))
		}
		s.tally.struck(f, met)
	}
}

// strike carries out a fault, and returns what it met.
func (s *chaos) strike(ctx context.Context, f fault) (met int, err error) {
	switch f.Kind {
	case kindKill:
		return s.kill(ctx, f), nil
	case kindDuplicate, kindReorder, kindDelay:
		return s.network.gateways[link{processSource, f.Target}.String()].meddle(ctx, f), nil
	case kindRefuse, kindLoseReply, kindSilence, kindLate, kindGarbage:
		return s.network.gateways[f.Target].meddle(ctx, f), nil
	case kindCut, kindHalfOpen, kindSlow:
		return s.network.disturb(ctx, f)
	case kindStrand:
		return s.strand(ctx, f)
	case kindReplay:
		return s.replay(ctx)
	case kindLostTail:
		return s.loseTail(ctx, f)
	case kindClock:
		return s.turnClock(ctx, f)
	case kindUpgrade:
		return s.upgrade(ctx)
	case kindDisk:
		return s.fill(ctx, f)
	default:
		return 0, fmt.Errorf("unknown fault %q", f.Kind)
	}
}

// fill has no room on the disk of the state folder for a while: Postgres, the
// broker, the provider's ledger, the mailbox and S3.
func (s *chaos) fill(ctx context.Context, f fault) (int, error) {
	if err := fillDisk(s.system.state()); err != nil {
		return 0, err
	}
	pause(ctx, f.For)
	return 1, emptyDisk(s.system.state())
}

// customers order and cancel, and wait for the end of each order.
func (s *chaos) customers(ctx context.Context) error {
	var result, trouble bytes.Buffer
	command := s.system.tool(ctx, filepath.Join(s.options.Tools, "simulate"),
		fmt.Sprintf("--orders=%d", s.options.Orders), fmt.Sprintf("--rate=%g", s.options.Rate), fmt.Sprintf("--seed=%d", s.options.Seed),
		"--cancelled=0.1", "--concurrency=100", "--wait="+s.options.Settle.String())
	command.Stdout, command.Stderr = &result, &trouble
	err := command.Run()
	s.report.customers = strings.TrimSpace(result.String())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, is := errors.AsType[*exec.ExitError](err); is {
		text := trouble.String()
		s.report.violation("customers: " + strings.TrimSpace(text[strings.LastIndex(text, "simulate:")+len("simulate:"):]))
		_ = s.deadLetters(ctx) // they say why an order stands still
		return errors.Join(errViolated, s.stories(ctx, ""))
	}
	return err
}
