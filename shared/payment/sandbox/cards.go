package sandbox

// card is how a test payment method behaves.
type card struct {
	// decline refuses the authorisation, captureDecline only the capture.
	decline, captureDecline string
	// expires lets the hold run out at once.
	expires bool
}

// cards carry Stripe's names for its test payment methods, so that what is
// tried here can be tried there. The last one is ours: Stripe has no test card
// whose hold runs out before the week is over.
func cards() map[string]card {
	return map[string]card{
		"pm_card_visa":       {},
		"pm_card_visa_debit": {},
		"pm_card_mastercard": {},
		"pm_card_amex":       {},

		"pm_card_visa_chargeDeclined":                      {decline: "card_declined"},
		"pm_card_visa_chargeDeclinedInsufficientFunds":     {decline: "insufficient_funds"},
		"pm_card_visa_chargeDeclinedLostCard":              {decline: "lost_card"},
		"pm_card_visa_chargeDeclinedStolenCard":            {decline: "stolen_card"},
		"pm_card_visa_chargeDeclinedVelocityLimitExceeded": {decline: "card_velocity_exceeded"},
		"pm_card_chargeDeclinedExpiredCard":                {decline: "expired_card"},
		"pm_card_chargeDeclinedIncorrectCvc":               {decline: "incorrect_cvc"},
		"pm_card_chargeDeclinedProcessingError":            {decline: "processing_error"},

		"pm_card_chargeCustomerFail": {captureDecline: "card_declined"},

		"pm_card_authorisationExpires": {expires: true},
	}
}
