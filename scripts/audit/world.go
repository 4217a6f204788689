package main

import (
	"context"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// world is what others have on record.
type world struct {
	payments map[string]payment.Payment    // the provider's, by order
	moves    map[string][]payment.Movement // the provider's ledger, by order
	mails    map[string][]message          // what arrived, by order and change
	stored   []stored                      // the labels that there are
	labels   []string                      // what is wrong with those that we have on record
}

func readWorld(ctx context.Context, set settings, ours books) (w world, err error) {
	provider := payment.NewClient(set.Provider, set.ProviderKey, nil)
	if w.payments, err = readPayments(ctx, provider); err != nil {
		return world{}, err
	}
	if w.moves, err = readLedger(ctx, provider); err != nil {
		return world{}, err
	}
	if w.mails, err = readMailbox(ctx, set.Mailbox); err != nil {
		return world{}, err
	}
	if w.stored, err = listLabels(ctx, set.Labels); err != nil {
		return world{}, err
	}
	if w.labels, err = readLabels(ctx, set.Labels, ours.labels); err != nil {
		return world{}, err
	}
	return w, nil
}

// comparison holds what others have against our books. It returns what is
// wrong, and a remark on what it saw.
type comparison struct {
	name, text string
	run        func(view, world) (violations []string, remark string)
}

func comparisons() []comparison {
	return []comparison{
		{"provider_agrees_on_every_payment", "The payment provider has every payment of ours in the same state and amount, and holds or keeps no other money.", comparePayments},
		{"provider_ledger_is_what_we_say", "Of each order the provider's ledger holds the total while our database says authorised, keeps it while it says captured, and else nothing.", compareLedger},
		{"provider_moves_each_total_once", "Each order's total is held at most once, captured at most once, and given back at most once; captured only where units were reserved, and of a cancelled order only what its customer's cancellation raced with, and refunded.", compareMoves},
		{"provider_ledger_is_our_journal", "Our journal of money has the very movements that the provider's ledger has of each order, one by one and to the cent.", compareJournal},
		{"mailbox_has_every_mail", "Every mail on record arrived, at the order's contact, and no other did; none twice unless nobody could know, and not all are refused.", compareMails},
		{"mailbox_told_of_its_mails", "What SendGrid has told of a mail is kept of a mail that it has.", compareFates},
		{"labels_are_in_s3", "Every shipped order has its label in S3, byte for byte the one on record, and it tells of the order; nobody else has one.", compareLabels},
	}
}
