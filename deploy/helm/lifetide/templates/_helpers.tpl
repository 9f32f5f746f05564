{{- define "lifetide.name" -}}
{{- if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "lifetide.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lifetide.labels" -}}
{{ include "lifetide.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "lifetide.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: LIFETIDE__KAFKA__BROKERS
    value: {{ .Values.brokers | quote }}
  - name: LIFETIDE__HTTP__LISTEN
    value: 0.0.0.0:9464
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  # The same release in another namespace may share the Kafka.
  - name: LIFETIDE__KAFKA__INSTANCE_ID
    value: $(POD_NAME).{{ .Release.Namespace }}
  - name: LIFETIDE__HTTP__ADVERTISE
    value: $(POD_NAME).{{ include "lifetide.name" . }}.{{ .Release.Namespace }}.svc:9464
  - name: LIFETIDE__HTTP__TOKEN_FILE
    value: /etc/lifetide/token/token
  {{- with .Values.secrets.sasl }}
  - name: LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ . }}
        key: password
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: config
    mountPath: /etc/lifetide/config
    readOnly: true
  - name: token
    mountPath: /etc/lifetide/token
    readOnly: true
  {{- if .Values.secrets.ca }}
  - name: ca
    mountPath: /etc/lifetide/ca
    readOnly: true
  {{- end }}
{{- end }}
