// Package simulation runs our functions, their rules, the frame, the history, the
// publisher and order-recovery as they are, in one process, under one seed and a
// clock of its own, and lets go wrong whatever can go wrong outside of them.
//
// What is real: the code of the functions and of shared. What is simulated:
// Postgres (package memdb), Kafka and its sinks, the payment provider, S3, the clock
// (testing/synctest), and who takes a turn. Every call to the outside waits until
// the scheduler lets it go on, so that nothing happens but by a choice of the
// scheduler: which call takes effect next, which event is delivered, lost or
// delivered again, which answer is lost, which process dies, and how much time
// passes. A process that dies loses its memory and its transactions; what its code
// does afterwards reaches nobody.
//
// The choices are drawn from a seed, for many orders that compete for stock, or gone
// through one and all, for one order. Then the faults end, the system comes to rest,
// and what must be true then is checked. A failure tells its seed, and the shortest
// list of choices that leads to it.
//
// customer-notification has a stand-in that only takes note of what it reads.
package simulation
