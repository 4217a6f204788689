package manifest

// TypeMeta says what a document is.
type TypeMeta struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
}

// Metadata is a resource's name and place.
type Metadata struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace"`
	Labels    map[string]string `yaml:"labels"`
}

// Resource is what all resources with a spec have in common.
type Resource[Spec any] struct {
	TypeMeta `yaml:",inline"`
	Metadata Metadata `yaml:"metadata"`
	Spec     Spec     `yaml:"spec"`
}

type (
	// KafkaTopic is Strimzi's.
	KafkaTopic = Resource[KafkaTopicSpec]
	// KafkaSink takes events by HTTP and puts them on its topic.
	KafkaSink = Resource[KafkaSinkSpec]
	// SinkBinding gives K_SINK to the services it selects.
	SinkBinding = Resource[SinkBindingSpec]
	// KafkaSource posts the events on its topics to its sink.
	KafkaSource = Resource[KafkaSourceSpec]
	// PingSource posts an event on a schedule.
	PingSource = Resource[PingSourceSpec]
)

// Namespace is Kubernetes' own.
type Namespace struct {
	TypeMeta `yaml:",inline"`
	Metadata Metadata `yaml:"metadata"`
}

// ConfigMap is Kubernetes' own.
type ConfigMap struct {
	TypeMeta `yaml:",inline"`
	Metadata Metadata          `yaml:"metadata"`
	Data     map[string]string `yaml:"data"`
}

// Secret is a template: its keys count, its values are empty.
type Secret struct {
	TypeMeta   `yaml:",inline"`
	Metadata   Metadata          `yaml:"metadata"`
	StringData map[string]string `yaml:"stringData"`
}

// KafkaTopicSpec says how a topic is cut and how long it keeps its records.
type KafkaTopicSpec struct {
	TopicName  string            `yaml:"topicName"`
	Partitions int32             `yaml:"partitions"`
	Replicas   int16             `yaml:"replicas"`
	Config     map[string]string `yaml:"config"`
}

// KafkaSinkSpec names the topic behind a sink.
type KafkaSinkSpec struct {
	Topic            string   `yaml:"topic"`
	ContentMode      string   `yaml:"contentMode"`
	BootstrapServers []string `yaml:"bootstrapServers"`
}

// Reference points to a resource in the same namespace.
type Reference struct {
	TypeMeta `yaml:",inline"`
	Name     string `yaml:"name"`
}

// Destination is where events go: the reference is the only form in use.
type Destination struct {
	Ref Reference `yaml:"ref"`
}

// SinkBindingSpec binds every service with the labels to the sink.
type SinkBindingSpec struct {
	Subject struct {
		TypeMeta `yaml:",inline"`
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"selector"`
	} `yaml:"subject"`
	Sink Destination `yaml:"sink"`
}

// Selects tells whether the binding is for the named function.
func (s SinkBindingSpec) Selects(function string) bool {
	return s.Subject.Selector.MatchLabels[functionLabel] == function
}

// KafkaSourceSpec says what is read and how it is delivered.
type KafkaSourceSpec struct {
	BootstrapServers []string    `yaml:"bootstrapServers"`
	Topics           []string    `yaml:"topics"`
	ConsumerGroup    string      `yaml:"consumerGroup"`
	Consumers        *int        `yaml:"consumers"`
	InitialOffset    string      `yaml:"initialOffset"`
	Ordering         string      `yaml:"ordering"`
	Sink             Destination `yaml:"sink"`
	Delivery         *Delivery   `yaml:"delivery"`
}

// Delivery says what happens to an event that its sink doesn't take.
type Delivery struct {
	Retry          *int         `yaml:"retry"`
	BackoffPolicy  string       `yaml:"backoffPolicy"`
	BackoffDelay   string       `yaml:"backoffDelay"`
	Timeout        string       `yaml:"timeout"`
	DeadLetterSink *Destination `yaml:"deadLetterSink"`
}

// PingSourceSpec says when a ping goes where, and with what.
type PingSourceSpec struct {
	Schedule    string      `yaml:"schedule"`
	Timezone    string      `yaml:"timezone"`
	ContentType string      `yaml:"contentType"`
	Data        string      `yaml:"data"`
	Sink        Destination `yaml:"sink"`
}
