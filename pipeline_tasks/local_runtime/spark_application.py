"""The application of the Spark Connect server: it opens Spark, whose plugin serves the clients, and waits for its end.

Spark's own class for such a server isolates the artifacts of sessions. Each session that used a Python function then
left a Python process behind.
"""

import os
import time

from pyspark.sql import SparkSession

if __name__ == "__main__":
    java = os.getppid()
    SparkSession.builder.getOrCreate()
    while os.getppid() == java:
        time.sleep(1)
