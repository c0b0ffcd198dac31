{{/* The activator's account, which may follow the endpoints of models and nothing else. */}}
{{- define "squeezeserve.activatorAccount" }}
{{- $name := include "squeezeserve.activatorName" . }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "squeezeserve.activatorLabels" . | nindent 4 }}
    {{- include "squeezeserve.originLabels" . | nindent 4 }}
automountServiceAccountToken: false
{{- if .Values.rbac.create }}
{{- range default (list "") .Values.watchNamespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
metadata:
  name: {{ $name }}
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "squeezeserve.activatorLabels" $ | nindent 4 }}
    {{- include "squeezeserve.originLabels" $ | nindent 4 }}
rules:
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "RoleBinding" "ClusterRoleBinding" (ne . "") }}
metadata:
  name: {{ $name }}
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "squeezeserve.activatorLabels" $ | nindent 4 }}
    {{- include "squeezeserve.originLabels" $ | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $.Release.Namespace }}
{{- end }}
{{- end }}
{{- end }}
