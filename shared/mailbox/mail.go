package mailbox

import "time"

// Address is a person's mail address.
type Address struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// Attachment is what is known of a file that came with a mail.
type Attachment struct {
	Filename string `json:"filename"`
	Type     string `json:"type,omitempty"`
	Size     int    `json:"size"`
}

// Message is a mail as it was received.
type Message struct {
	// ID counts up; MessageID is what the sender got as X-Message-Id.
	ID         string            `json:"id"`
	MessageID  string            `json:"message_id"`
	From       Address           `json:"from"`
	To         []Address         `json:"to"`
	CC         []Address         `json:"cc,omitempty"`
	BCC        []Address         `json:"bcc,omitempty"`
	ReplyTo    []Address         `json:"reply_to,omitempty"`
	Subject    string            `json:"subject"`
	Text       string            `json:"text"`
	HTML       string            `json:"html"`
	CustomArgs map[string]string `json:"custom_args"`
	Categories []string          `json:"categories,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	TemplateID string            `json:"template_id,omitempty"`

	Attachments []Attachment `json:"attachments,omitempty"`
	ReceivedAt  time.Time    `json:"received_at"`
}

// recipients are all who get the message.
func (m Message) recipients() []Address {
	all := append([]Address{}, m.To...)
	return append(append(all, m.CC...), m.BCC...)
}

// request is the body of POST /v3/mail/send, as far as it matters here.
type request struct {
	Personalizations []personalization `json:"personalizations"`
	From             *Address          `json:"from"`
	ReplyTo          *Address          `json:"reply_to"`
	ReplyToList      []Address         `json:"reply_to_list"`
	Subject          string            `json:"subject"`
	Content          []content         `json:"content"`
	Attachments      []attachment      `json:"attachments"`
	TemplateID       string            `json:"template_id"`
	Headers          map[string]string `json:"headers"`
	Categories       []string          `json:"categories"`
	CustomArgs       map[string]string `json:"custom_args"`
	SendAt           int64             `json:"send_at"`
	IPPoolName       *string           `json:"ip_pool_name"`
	ASM              *unsubscribe      `json:"asm"`
	MailSettings     struct {
		SandboxMode struct {
			Enable bool `json:"enable"`
		} `json:"sandbox_mode"`
	} `json:"mail_settings"`
}

type personalization struct {
	From          *Address          `json:"from"`
	To            []Address         `json:"to"`
	CC            []Address         `json:"cc"`
	BCC           []Address         `json:"bcc"`
	Subject       *string           `json:"subject"`
	Headers       map[string]string `json:"headers"`
	CustomArgs    map[string]string `json:"custom_args"`
	Substitutions map[string]string `json:"substitutions"`
	SendAt        int64             `json:"send_at"`
}

type content struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type attachment struct {
	Content     string  `json:"content"`
	Type        *string `json:"type"`
	Filename    string  `json:"filename"`
	Disposition string  `json:"disposition"`
}

// unsubscribe is SendGrid's asm object.
type unsubscribe struct {
	GroupID         *int64  `json:"group_id"`
	GroupsToDisplay []int64 `json:"groups_to_display"`
}
