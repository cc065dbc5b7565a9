"""The plugin that adds Nightshelf's pages to Airflow."""
