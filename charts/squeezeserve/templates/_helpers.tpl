{{/* The chart's name, in object names and labels. */}}
{{- define "squeezeserve.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The prefix of every object's name. Short enough (46) that "-operator-metrics" still fits 63 characters. */}}
{{- define "squeezeserve.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" }}
{{- else }}
{{- $name := include "squeezeserve.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 46 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The operator's name: its Deployment, account, roles and policies. */}}
{{- define "squeezeserve.operatorName" -}}
{{ include "squeezeserve.fullname" . }}-operator
{{- end }}

{{/* Labels by which the operator's pods are selected; immutable in a Deployment, so they hold no version. */}}
{{- define "squeezeserve.selectorLabels" -}}
app.kubernetes.io/name: {{ include "squeezeserve.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of the operator's pods. They name no chart version, so that a chart-only upgrade restarts nothing. */}}
{{- define "squeezeserve.podLabels" -}}
{{ include "squeezeserve.selectorLabels" . }}
app.kubernetes.io/part-of: squeezeserve
{{- end }}

{{/* Labels of the pod that `helm test` runs. */}}
{{- define "squeezeserve.testLabels" -}}
app.kubernetes.io/name: {{ include "squeezeserve.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end }}

{{- define "squeezeserve.activatorName" -}}
{{ include "squeezeserve.fullname" . }}-activator
{{- end }}

{{/* Labels of the activator's pods, by which they are selected too. */}}
{{- define "squeezeserve.activatorLabels" -}}
app.kubernetes.io/name: {{ include "squeezeserve.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: activator
{{- end }}

{{/* Labels that say where an object comes from, for any component. */}}
{{- define "squeezeserve.originLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: squeezeserve
{{- end }}

{{- define "squeezeserve.labels" -}}
{{ include "squeezeserve.selectorLabels" . }}
{{ include "squeezeserve.originLabels" . }}
{{- end }}

{{- define "squeezeserve.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "squeezeserve.operatorName" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.create is false: name the account to use in serviceAccount.name" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* An image's reference. Takes a dict: image (repository, tag, digest), root. */}}
{{- define "squeezeserve.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{/* The pod's security context. A null user or group leaves the choice to the cluster (OpenShift). */}}
{{- define "squeezeserve.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.podSecurity.runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .Values.podSecurity.runAsGroup }}
runAsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "squeezeserve.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/*
What the operator may do with namespaced objects, in a ClusterRole or in one Role a namespace. A server-side apply of
an object that is not there yet needs "create" beside "patch". The operator deletes an autoscaler where
spec.scaling.metric asks for another one, a network policy where predictor.networkPolicy is switched off, and the
activator's endpoints of a model that is awake; all else is left to the garbage collector.
*/}}
{{- define "squeezeserve.namespacedRules" -}}
- apiGroups: [squeezeserve.io]
  resources: [squeezemodels, squeezetrainings]
  verbs: [get, list, watch]
- apiGroups: [squeezeserve.io]
  resources: [squeezemodels/status, squeezetrainings/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.activator.enabled }}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What may reach models and trainings, and what they reach; the operator always asks ready replicas and workers. */}}
{{- define "squeezeserve.networkRules" -}}
{{- $namespace := dict "matchLabels" (dict "kubernetes.io/metadata.name" .Release.Namespace) }}
{{- $pod := dict "matchLabels" (include "squeezeserve.selectorLabels" . | fromYaml) }}
{{- $operator := dict "namespaceSelector" $namespace "podSelector" $pod }}
{{- $ours := list $operator }}
{{- if .Values.activator.enabled }}
{{- $pod := dict "matchLabels" (include "squeezeserve.activatorLabels" . | fromYaml) }}
{{- $ours = append $ours (dict "namespaceSelector" $namespace "podSelector" $pod) }}
{{- end }}
{{- with .Values.predictor.networkPolicy }}
{{- dict "operator" $ours "clients" .clientsFrom "weights" .weightsEgress | toJson }}
{{- end }}
{{- end }}

{{/* Hosts that replicas reach directly: they need no API server. */}}
{{- define "squeezeserve.replicaNoProxy" -}}
{{- concat (list "localhost" "127.0.0.1" ".svc" ".cluster.local") .Values.predictor.proxy.noProxy | join "," }}
{{- end }}

{{/* Hosts to reach directly. The kubelet puts the API server's address in the place of $(KUBERNETES_SERVICE_HOST). */}}
{{- define "squeezeserve.noProxy" -}}
{{- concat (list "$(KUBERNETES_SERVICE_HOST)" "localhost" "127.0.0.1" ".svc" ".cluster.local") .Values.proxy.noProxy | join "," }}
{{- end }}
