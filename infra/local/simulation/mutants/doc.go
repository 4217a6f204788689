// Package mutants breaks our code on purpose, in one place at a time, and makes
// sure that the simulation notices: a check that can't fail is no check.
//
// Of the mistakes that one may think of, some are harmless, as another layer holds:
// stock that is judged in one statement and taken in another is kept from being
// oversold by the lock, by the condition in the update, and by a constraint, so that
// all three have to go for anything to happen. A payment of a cancelled order that
// payment-verification or shipment-preparation forgets to release is released by
// order-cancellation.
package mutants
