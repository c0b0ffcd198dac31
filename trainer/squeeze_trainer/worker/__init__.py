"""One worker of a training on a cluster: a process of the group in a pod of its own.

The Job is the launcher: it starts each worker with its place in the group, and starts it again. So PyTorch's
own launcher is left out, and with it a process that would hide signals and exit codes. Around the training
program this adds what a pod lacks: a run's folder that outlives the pod (``mirror``), the progress on a page
(``page``), and the result or the fault in the termination message (``main``).
"""
